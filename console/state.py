"""What the terminal console knows: all that a frame is drawn from. Frozen; `update.py` makes the next one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from console.messages import Answer, Effect, Staged, Want
from console.theme import Theme
from console.widgets.line import Line

STALE_SECONDS = 3.5  # what is older than this is marked: nothing that is read again and again gets so old while answers come


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
    pages: tuple[str, ...] = ()  # the cursors of the pages before and of this one; none on the first
    source: str = ""  # what a form is filled from
    local: Any = None  # what only this screen keeps


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line to type into at the foot: `purpose` says what for (filter, palette, ask).

    While a completion stands in the line (`at`), `base` is what was typed, which the other completions are of, too.
    """

    purpose: str
    label: str
    line: Line = field(default_factory=Line)
    choices: tuple[tuple[str, str], ...] = ()  # each with what it means
    at: int = -1  # the completion that is marked
    base: Line = field(default_factory=Line)
    context: Any = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to a Question: `then`, if there is one, says what comes of it in the place of `effects`."""

    keys: tuple[str, ...]
    label: str
    effects: tuple[Effect, ...] = ()
    then: "Callable[[State], tuple[State, tuple[Effect, ...]]] | None" = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before something is done. Esc is always there, and does nothing."""

    text: str
    choices: tuple[Choice, ...]
    details: tuple[str, ...] = ()


def sure(text: str, effects: tuple[Effect, ...], details: tuple[str, ...] = ()) -> Question:
    """Yes or no."""
    return Question(text, (Choice(("y", "Y", "enter"), "yes", effects), Choice(("n", "N"), "no")), details)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence at the foot until `until` (monotonic seconds)."""

    text: str
    style: str
    until: float


@dataclass(frozen=True, slots=True)
class Launching:
    """What was started here, `since` when (monotonic seconds): its stages, and why it did not work."""

    what: str
    since: float
    pid: int = 0
    log: str = ""
    problem: str = ""
    stages: tuple[Staged, ...] = ()
    done: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What the launcher knows of this machine: the data folder, and what a cluster still needs here, in words."""

    data_folder: str = ".observatory"
    looked_at: str = ""  # where the address comes from
    cluster_needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """An action on `asked` jobs: `open` requests without an answer; the ids of jobs `followed` until each has `ended`, with
    its state; or the `bulk` operation of the server that does it, of which `done` jobs are through."""

    number: int
    verb: str
    about: str
    asked: int
    open: int
    refused: tuple[str, ...] = ()
    followed: tuple[str, ...] = ()
    ended: Mapping[str, str] = field(default_factory=dict)
    bulk: str = ""
    done: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """Sums as they stood at an instant (monotonic seconds): jobs that ended, and those of them that failed."""

    at: float
    ended: int
    failed: int


@dataclass(frozen=True, slots=True)
class State:
    """`now` is monotonic, `wall` seconds since the epoch; `data` holds the last answers, `live` the last events."""

    url: str
    name: str = ""
    columns: int = 80
    lines: int = 24
    now: float = 0.0
    wall: float = 0.0
    ticked: float = 0.0  # `now` of the last tick, which `wall` is of
    theme: Theme = field(default_factory=Theme)
    ascii_only: bool = False
    views: tuple[View, ...] = (View("dashboard"),)  # the last is shown
    left: Mapping[str, View] = field(default_factory=dict)  # screens as they were left
    data: Mapping[Want, Answer] = field(default_factory=dict)
    live: tuple[Mapping[str, Any], ...] = ()
    samples: tuple[Sample, ...] = ()
    skew: float = 0.0  # seconds that the server's clock is ahead of this machine's
    link: Link = Link()
    prompt: Prompt | None = None
    question: Question | None = None
    help: int | None = None  # the first line of the help that is shown
    note: Note | None = None
    filters: tuple[tuple[str, str], ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()  # name, url
    operations: tuple[Operation, ...] = ()
    counted: int = 0  # numbers given to operations and forms
    launching: Launching | None = None
    machine: Machine = Machine()
    session: str = ""  # this run of the console, for idempotency keys

    @property
    def view(self) -> View:
        return self.views[-1]

    @property
    def clock(self) -> float:
        """Seconds since the epoch by the server's clock, which the instants that it tells are by."""
        return self.wall + self.skew

    @property
    def why_away(self) -> str:
        """Why there is no answer, without the address and the advice that the reason gives elsewhere."""
        return self.link.reason.partition(f"{self.url} ")[2].partition(". ")[0].strip("()") or self.link.reason

    def with_view(self, view: View) -> "State":
        return replace(self, views=(*self.views[:-1], view))

    def change(self, **parts: Any) -> "State":
        """This state with other values in its topmost view."""
        return self.with_view(replace(self.view, **parts))

    def opened(self, view: View) -> "State":
        return replace(self, views=(*self.views, view))

    def said(self, text: str, style: str = "ok", seconds: float = 6.0) -> "State":
        return replace(self, note=Note(text, style, self.now + seconds))

    # ---- what was read ------------------------------------------------------------------------------------------

    def answer(self, want: Want) -> Answer:
        return self.data.get(want, _NOTHING)

    def document(self, want: Want) -> Any:
        """The last good document of a Want; None before the first."""
        return self.answer(want).document

    def items(self, want: Want) -> list[Mapping[str, Any]]:
        document = self.document(want)
        return document["items"] if isinstance(document, Mapping) and isinstance(document.get("items"), list) else []

    def stale(self, *wants: Want) -> float | None:
        """The age in seconds of the oldest of these figures, once that is worth saying; None while they are live."""
        ages = [self.now - answer.at for want in wants if want.every and (answer := self.answer(want)).document is not None]
        age = max(ages, default=0.0)
        return age if age >= STALE_SECONDS else None


_NOTHING = Answer()
