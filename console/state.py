"""What the terminal console knows: all that a frame is drawn from. Frozen; `update.py` makes the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from console.theme import Theme
from console.widgets.line import Line

QUIET_SECONDS = 5.0  # what nothing stirred is read again after this long
STALE_SECONDS = 3.0  # older than this without an answer is marked


# ---- what is read, and what is done ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """Something to read: a path of the HTTP surface and its query. While events arrive it is read again `every` seconds.

    `every` 0 reads it once.
    """

    path: str
    query: tuple[tuple[str, str], ...] = ()
    every: float = 1.0
    as_text: bool = False


ALERTS = Want("/v1/alerts", every=2.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """The last good answer to a Want, `at` its instant (monotonic seconds), or the problem that stands in its place."""

    document: Any = None
    at: float = 0.0
    problem: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Act:
    """A request that changes something. `said` is what the person is told when it worked, `about` what it concerns."""

    method: str
    path: str
    body: Any = None
    said: str = "done"
    about: str = ""


# ---- messages: what comes in ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key by its name, or a character."""

    key: str


@dataclass(frozen=True, slots=True)
class Pasted:
    text: str


@dataclass(frozen=True, slots=True)
class Clicked:
    """`what` is press, double, wheel-up or wheel-down, at a cell from (0, 0)."""

    what: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Resized:
    columns: int
    lines: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passes: monotonic seconds, and seconds since the epoch."""

    now: float
    wall: float


@dataclass(frozen=True, slots=True)
class Received:
    want: Want
    document: Any
    at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The server answered that it will not: `text` says why."""

    want: Want
    status: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """No answer: `tries` so far, the next one in `pause` seconds."""

    reason: str
    tries: int
    pause: float
    at: float


@dataclass(frozen=True, slots=True)
class Happened:
    """Events that the live stream brought, oldest first (at most the last 200)."""

    events: tuple[Mapping[str, Any], ...]
    at: float


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an Act: the answer's document, or the problem in words."""

    act: Act
    document: Any = None
    problem: str | None = None
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Launched:
    """A system was started: its process, and where it writes what it says."""

    pid: int
    log: str


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """It could not be started, or ended: `text` is what it said last."""

    text: str


Message = Pressed | Pasted | Clicked | Resized | Ticked | Received | Refused | Unreached | Happened | Acted | Launched | LaunchFailed


# ---- effects: what goes out -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class Redraw:
    pass


@dataclass(frozen=True, slots=True)
class Refresh:
    pass


@dataclass(frozen=True, slots=True)
class Copy:
    text: str


@dataclass(frozen=True, slots=True)
class Connect:
    """Go on with another server."""

    url: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a system: `embedded` or `cluster`."""

    what: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Save the filters that a person named."""

    filters: tuple[tuple[str, str], ...]


Effect = Act | Quit | Redraw | Refresh | Copy | Connect | Launch | Keep


# ---- the state --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """How things stand with the server: `connecting`, `live`, or `away` since `since`."""

    condition: str = "connecting"
    since: float = 0.0
    heard: float = 0.0  # the last good answer
    reason: str = ""
    tries: int = 0
    next_try: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """One level of the stack of screens. `chosen` is the identity of the selected row, so that it survives a refresh."""

    screen: str
    subject: str = ""
    chosen: str | None = None
    cursor: int = 0
    top: int = 0
    query: str = ""
    sort: str = ""
    descending: bool = False
    tab: int = 0
    marked: frozenset[str] = frozenset()
    follow: bool = False
    local: Any = None  # what only this screen keeps


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line to type into at the foot: `purpose` says what for (filter, palette, reason, context)."""

    purpose: str
    label: str
    line: Line = field(default_factory=Line)
    choices: tuple[str, ...] = ()
    at: int = -1  # the completion that is marked
    context: Any = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A yes or no before something is done."""

    text: str
    effects: tuple[Effect, ...]
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence at the foot until `until` (monotonic seconds)."""

    text: str
    style: str
    until: float


@dataclass(frozen=True, slots=True)
class Launching:
    """What was started here, `since` when (monotonic seconds), and why it did not work."""

    what: str
    since: float
    pid: int = 0
    log: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """`now` is monotonic, `wall` seconds since the epoch; `data` holds the last answers, `live` the last events."""

    url: str
    name: str = ""
    columns: int = 80
    lines: int = 24
    now: float = 0.0
    wall: float = 0.0
    theme: Theme = field(default_factory=Theme)
    ascii_only: bool = False
    views: tuple[View, ...] = (View("dashboard"),)  # the last is shown
    data: Mapping[Want, Answer] = field(default_factory=dict)
    live: tuple[Mapping[str, Any], ...] = ()
    link: Link = Link()
    prompt: Prompt | None = None
    question: Question | None = None
    help: bool = False
    note: Note | None = None
    filters: tuple[tuple[str, str], ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()  # name, url
    pending: tuple[Act, ...] = ()
    launching: Launching | None = None
    data_folder: str = ".observatory"
    looked_at: str = ""  # where the address comes from, in words

    @property
    def view(self) -> View:
        return self.views[-1]

    def with_view(self, view: View) -> "State":
        return replace(self, views=(*self.views[:-1], view))

    def change(self, **parts: Any) -> "State":
        """This state with other values in its topmost view."""
        return self.with_view(replace(self.view, **parts))

    def opened(self, view: View) -> "State":
        return replace(self, views=(*self.views, view))

    def said(self, text: str, style: str = "ok", seconds: float = 6.0) -> "State":
        return replace(self, note=Note(text, style, self.now + seconds))

    def answer(self, want: Want) -> Answer:
        return self.data.get(want, _NOTHING)

    def document(self, want: Want) -> Any:
        """The last good document of a Want; None before the first."""
        return self.answer(want).document

    def items(self, want: Want) -> list[Mapping[str, Any]]:
        document = self.document(want)
        return document["items"] if isinstance(document, Mapping) and isinstance(document.get("items"), list) else []

    @property
    def stale_seconds(self) -> float | None:
        """How old what is shown is, once that is worth saying; None while it is live."""
        if self.link.condition == "live" or not self.link.heard:
            return None
        age = self.now - self.link.heard
        return age if age >= STALE_SECONDS else None


_NOTHING = Answer()
