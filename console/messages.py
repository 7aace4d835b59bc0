"""What comes into the terminal console and what goes out of it: wants, acts, messages, effects. Frozen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EVERY_SECONDS = 0.75  # a read of every so often keeps a screen live within a second, the answer's way included


# ---- what is read, and what is done -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """Something to read: a path of the HTTP surface and its query. While events arrive it is read again `every` seconds.

    `every` 0 reads it once.
    """

    path: str
    query: tuple[tuple[str, str], ...] = ()
    every: float = EVERY_SECONDS
    as_text: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The last good answer to a Want, asked for at `at` (monotonic seconds), and the problem that has come since, if any."""

    document: Any = None
    at: float = 0.0
    problem: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Act:
    """A request that changes something. `said` is what the person is told when it worked, `about` what it concerns.

    `asker` is the screen that is told what became of it; empty: the person alone. With a `verb` the jobs that it concerns are followed
    to their end, in the operation of that `number`. `key` is its idempotency key; empty: a new one.
    """

    method: str
    path: str
    body: Any = None
    said: str = "done"
    about: str = ""
    asker: str = ""
    verb: str = ""
    number: int = 0
    key: str = ""


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
class Ground:
    """The terminal said that its ground is light, or dark."""

    light: bool


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passes: monotonic seconds, and seconds since the epoch."""

    now: float
    wall: float


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to a Want that was asked for at `at`."""

    want: Want
    document: Any
    at: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The server answered that it will not, or (status 0) did not answer this alone: `text` says why."""

    want: Want
    status: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """No answer to anything: `tries` so far, the next one in `pause` seconds."""

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
class Staged:
    """A stage of a cluster's start, as `make up` tells it: `state` is started, done, failed or skipped."""

    stage: str
    state: str
    seconds: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class LaunchEnded:
    """What was started has ended with an exit code: `text` is what it said last."""

    text: str
    code: int


Message = (
    Pressed | Pasted | Clicked | Resized | Ground | Ticked | Received | Refused | Unreached | Happened | Acted | Launched | Staged | LaunchEnded
)


# ---- effects: what goes out -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class Suspend:
    """Give the terminal back to the shell, until the shell continues the console."""


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
    """Go on with another server, by a context's name or by its address."""

    url: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a system: `embedded` or `cluster`."""

    what: str


@dataclass(frozen=True, slots=True)
class Attach:
    """An Act whose body gets what a JSON file holds, by this name."""

    act: Act
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Save the filters that a person named."""

    filters: tuple[tuple[str, str], ...]


Effect = Act | Attach | Quit | Suspend | Redraw | Refresh | Copy | Connect | Launch | Keep
