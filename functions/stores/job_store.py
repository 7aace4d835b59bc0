"""Port: where jobs live, with their events (the feed), attempts, keys, dead letters and cursors.

Every write is one transaction that holds the rows and their events together, and returns only when it is safe from a
power cut. Every method may raise StoreUnavailable. Instants are microseconds since the epoch.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from contracts.alerts import Alert, Judge, Judgement
from contracts.errors import ObservatoryError
from contracts.event import Event
from contracts.folding import Folded
from contracts.job import Attempt, Job, JobRequest
from contracts.query import Query
from contracts.schedule import Schedule, ScheduleSpec
from contracts.times import to_rfc3339
from functions.stores.bulk import BulkOperation, BulkState
from functions.stores.moves import Ending
from functions.stores.retention import Checkpoint, Pruned, Retention

PUBLISH_CURSOR = "relay"
STATISTICS_CURSOR = "statistics"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that is stored: newly (`created`), or before under the same key or unique_key."""

    id: str
    status: str
    created: bool
    deduplicated: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """What a renewal found: `held`, `cancelling` (held, and asked to stop) or `lost`."""

    job_id: str
    lease_token: int
    state: str


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick did, and when the next is due (None: nothing is planned)."""

    released: int
    rescued: int
    expired: int
    next_due_at: int | None
    more: bool = False
    fired: int = 0  # jobs of schedules
    skipped: int = 0  # due times of schedules that passed without one
    held_up: bool = False  # something is due that somebody else holds just now; `next_due_at` does not tell of it

    def and_then(self, later: "Tick") -> "Tick":
        """Both as one."""
        return Tick(
            self.released + later.released, self.rescued + later.rescued, self.expired + later.expired, later.next_due_at, later.more,
            self.fired + later.fired, self.skipped + later.skipped, later.held_up,
        )  # fmt: skip

    def due_by(self, at: int | None) -> "Tick":
        """The same, with the next one due at that instant if none is before (None: as it is)."""
        if at is None or (self.next_due_at is not None and self.next_due_at <= at):
            return self
        return replace(self, next_due_at=at)


@dataclass(slots=True)
class Declared:
    """What became of the schedules that code declares, by name; `taken` are names that a person's schedule has."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as it stands: its declaration, what is in it and what holds it."""

    name: str
    max_running: int | None
    rate_per_second: float | None
    paused: bool
    paused_by: str | None
    paused_at: int | None
    depth: int
    running: int
    oldest_queued_at: int | None
    workers: Mapping[str, int] = field(default_factory=dict)  # worker -> when it last asked for jobs or renewed a lease; forgotten after some days


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits, and its parents: those whose end it is still to be told of (`told_by`), and those that by the log have not
    ended since it came (`open`)."""

    job_id: str
    open_parents: int
    parents: Sequence[str]
    told_by: Sequence[str]
    open: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a Trigger's subscriber could not handle, with its original bytes."""

    id: str
    trigger: str
    source: str
    event_id: str
    event_type: str | None
    reason: str
    attempts: int
    content_type: str
    body: bytes
    headers: dict[str, str]
    kept_at: int
    status: str = "kept"  # kept | replayed | discarded | resolved
    outcome: str | None = None
    position: int | None = None  # of an event of this deployment's feed

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "trigger": self.trigger,
            "source": self.source,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "reason": self.reason,
            "attempts": self.attempts,
            "content_type": self.content_type,
            "bytes": len(self.body),
            "kept_at": to_rfc3339(self.kept_at),
            "status": self.status,
            "outcome": self.outcome,
        }


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page of a list: items and the cursor of the next page (None: this is the last)."""

    items: list[Item]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs that fit a query, whole as of position `head` of the feed.

    The search index had come to `indexed_to`; jobs that changed after it were looked at one by one.
    """

    items: list[Job]
    next_cursor: str | None
    indexed_to: int
    head: int


@dataclass(frozen=True, slots=True)
class Family:
    """Jobs that hang together, in the order of acceptance: a parent stands before its children. `complete`: they are all."""

    jobs: list[Job]
    complete: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """One request refused at the door: for the counter of its type and reason, and perhaps a redacted sample."""

    subject_type: str
    reason: str
    detail: str
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store found when it was opened: counts by state, and leases of a dead instance that it rescued."""

    counts: dict[str, int] = field(default_factory=dict)
    rescued: int = 0


Committed = Callable[[Sequence[Event]], None]
Resolve = Callable[[dict[str, Any]], JobRequest]  # a schedule's template as a checked request; raises a Refused. No IO


class JobStore(Protocol):
    # ---- life --------------------------------------------------------------------------------------------------
    async def open(self) -> Recovered: ...
    async def close(self) -> None: ...
    async def ping(self) -> None:
        """Returns when the store answers; raises StoreUnavailable."""

    def now(self) -> int:
        """The store's clock, by which leases and due times are measured."""

    @property
    def source(self) -> str:
        """The `source` of every event of this deployment: `urn:observatory:` and a UUID."""

    def on_committed(self, callback: Committed, wanted: Callable[[], bool] | None = None) -> None:
        """`callback` gets the events of each commit, in feed order, before the writers of that commit hear of it.

        Where several processes write, those of the others come a moment after their commit. While `wanted` says no, events may
        be passed over, so that nobody reads them for nothing.
        """

    def on_own_committed(self, callback: Committed) -> None:
        """`callback` gets the events of each commit of this process alone, before the writers of that commit hear of it."""

    def on_moved(self, callback: Callable[[], None]) -> None:
        """`callback` is called when the feed has grown, by any process; for those who read it themselves."""

    # ---- the moves ---------------------------------------------------------------------------------------------
    async def submit(self, requests: Sequence[JobRequest]) -> list[Submitted | ObservatoryError]:
        """All valid requests in one transaction, answers in order; a faulty one is an error in its place.

        `depends_on` may name `#INDEX`, an earlier request of the same call.
        """

    async def claim(
        self, queue: str, limit: int, *, worker: str, instance: str, lease_seconds: float, cold_start_seconds: float | None = None,
        except_types: Collection[str] = (),
    ) -> list[Job]:  # fmt: skip
        """The best claimable jobs of a queue (priority 9 first, then oldest), now running under this worker's lease. Those of
        `except_types` are passed over, at no cost that grows with how many they are."""

    async def end_attempts(self, endings: Sequence[Ending]) -> list[str | ObservatoryError]:
        """Commits outcomes; for each the attempt's outcome, or LeaseLost (nothing changed)."""

    async def renew(self, leases: Sequence[tuple[str, int]], lease_seconds: float) -> list[Lease]: ...
    async def release(self, leases: Sequence[tuple[str, int]], reason: str) -> int:
        """Gives attempts back uncounted; returns how many were still held."""

    async def progress(self, job_id: str, lease_token: int, progress: dict[str, Any]) -> None: ...
    async def effect(self, job_id: str, lease_token: int, step: str, value: Any) -> Any:
        """Stores a step's value under the lease, or gives back the one stored before. Raises LeaseLost."""

    async def effects(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The stored steps of jobs: job id -> step -> value."""

    async def cancel(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]: ...
    async def reopen(self, job_ids: Sequence[str], actor: str, reason: str | None) -> list[Job | ObservatoryError]: ...
    async def tick(self, *, rescue_all: bool = False, limit: int = 500, resolve: Resolve | None = None) -> Tick:
        """Fires schedules, releases what is due, rescues lost leases, expires; some `limit` of each, `more` says if some are left.

        Schedules fire only with `resolve`; a template that it refuses is skipped, with its words.
        """

    # ---- queues ------------------------------------------------------------------------------------------------
    async def declare_queues(self, declarations: Sequence[tuple[str, int | None, float | None, bool]]) -> None:
        """Takes over name, max_running, rate_per_second, paused (only for a queue that is new)."""

    async def set_paused(self, queue: str, paused: bool, actor: str, reason: str | None) -> QueueState: ...
    async def queues(self) -> list[QueueState]: ...

    # ---- schedules ---------------------------------------------------------------------------------------------
    async def put_schedule(self, name: str, spec: ScheduleSpec, actor: str) -> tuple[Schedule, str]:
        """The schedule as wished, and what that was: `created`, `updated` or `unchanged`. Raises Conflict: code declares it."""

    async def declare_schedules(self, specs: Mapping[str, ScheduleSpec]) -> Declared:
        """Takes over all that code declares; what it declares no more is deleted. A pause stays, a person's schedule, too."""

    async def delete_schedule(self, name: str, actor: str, reason: str | None) -> None:
        """Raises ScheduleNotFound, and Conflict: code declares it."""

    async def pause_schedule(self, name: str, paused: bool, actor: str, reason: str | None) -> Schedule:
        """Pauses or resumes; what passed meanwhile is not made up for. Raises ScheduleNotFound."""

    async def run_schedule(
        self, name: str, resolve: Resolve, actor: str, keys: tuple[str, ...] = (), fingerprint: bytes = b"", traceparent: str | None = None
    ) -> Submitted:
        """A firing now, also while paused or while the last job runs. Raises ScheduleNotFound, ContractViolation, IdempotencyConflict."""

    async def schedule(self, name: str) -> Schedule:
        """Raises ScheduleNotFound."""

    async def schedules(self, limit: int, cursor: str | None) -> Page[Schedule]:
        """By name."""

    # ---- alerts ------------------------------------------------------------------------------------------------
    async def judge_alerts(self, judge: Judge) -> Judgement:
        """Lets `judge` decide about the kept alerts, and commits what it says: their rows and the events that tell of them."""

    async def alerts(self) -> dict[str, Alert]:
        """The alerts that are kept, by their ids."""

    # ---- the feed ----------------------------------------------------------------------------------------------
    async def head(self) -> int:
        """The position of the last committed event; 0 when there is none."""

    async def feed(self, after: int, limit: int) -> list[Event]:
        """Committed events past a position, in order, none skipped."""

    async def dropped(self) -> int:
        """The highest position that retention has dropped; 0 when the feed is whole."""

    async def cursors(self) -> dict[str, int]: ...
    async def take_turn(self) -> bool:
        """Whether this process may publish now: one at a time of all that share the store. A process that dies gives its turn back."""

    async def give_turn(self) -> None: ...
    async def advance(self, cursor: str, position: int) -> None:
        """Moves a cursor forward (never back). May wait for a commit that happens anyway."""

    async def set_back(self, cursor: str, position: int) -> None:
        """Moves a cursor back (never forward): once this returns, retention drops nothing beyond it, whatever it had planned."""

    async def forget_cursor(self, cursor: str) -> None:
        """Takes a cursor away: nobody reads by it any more, and retention waits for it no longer."""

    # ---- what one at a time may do ------------------------------------------------------------------------------
    async def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Takes `name` for so long, or for longer if `holder` has it; False while another's time runs. By the store's clock."""

    async def let_go(self, name: str, holder: str) -> None:
        """Gives back what `holder` has; nothing when it is another's by now."""

    # ---- bulk --------------------------------------------------------------------------------------------------
    async def begin_bulk(self, operation: BulkOperation, job_ids: Sequence[str]) -> None:
        """Keeps an operation and whom it is for."""

    async def bulk(self, operation: str) -> BulkOperation:
        """Raises NotFound."""

    async def bulks(self, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
        """Newest first; those that are not finished alone, if asked so."""

    async def bulk_items(self, operation: str, at: int, limit: int) -> list[str]:
        """The ids that it is for, from place `at` on; none once it is finished."""

    async def bulk_step(
        self, operation: BulkOperation, at: int, job_ids: Sequence[str], outcomes: Sequence[tuple[str, str]] = ()
    ) -> BulkState | None:
        """Does what is at place `at` and moves on, in one transaction; nothing when somebody was faster. See BulkStep."""

    # ---- retention ---------------------------------------------------------------------------------------------
    async def prune(self, keep: Retention) -> Pruned:
        """One small step: drops ended jobs that are old, or too many, with their events, attempts, steps and tags, and adds
        the fold of what it drops to the checkpoint; never what a reader of the feed has not passed. Nothing when what it
        planned is not so any more."""

    async def prune_settled(self, before: int, before_minute: int) -> None:
        """Drops settled dead letters and counters of refusals from before an instant, and the checkpoint's older minutes."""

    async def checkpoint(self) -> Checkpoint | None:
        """The sum of all that was dropped; None while the log is whole."""

    async def pruned_states(self) -> dict[tuple[str, str, str], int]:
        """(queue, type, status) -> how many jobs were dropped."""

    # ---- reading -----------------------------------------------------------------------------------------------
    async def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""

    async def family(self, job_id: str, limit: int) -> Family:
        """A job and all that hang together with it, by `depends_on` or `parent_id`, in either direction and any number of steps;
        of more than `limit` the nearest. They come without payload and result. Raises JobNotFound."""

    async def statuses(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The states of those of these jobs that are there."""

    async def jobs(self, where: Query, limit: int, cursor: str | None) -> JobPage:
        """Jobs that fit, newest first, exactly those that `Query.matches` says, with what `open_search` lets it see.

        By keyset: jobs that arrive or change meanwhile neither shift nor repeat a page, and ages and durations are those of
        the first page's instant. Raises QueryTooSlow or IndexBehind rather than answering in part, and MalformedRequest for
        a cursor that is none.
        """

    async def matching(self, where: Query) -> list[tuple[str, str]]:
        """(id, status) of every job that fits, newest first, all as of one instant. It may take a minute. Raises
        QueryTooSlow or IndexBehind beyond that."""

    async def open_search(self, shown: Callable[[str, Any], Any], version: str) -> None:
        """Lets queries read payloads, error and output, and keeps whatever index there is for it, off the way of writes.

        `shown(type, payload)` gives as much of a payload as may be seen: the rest cannot be searched. `version` differs
        whenever `shown` does; an index made under another is made anew. May be called again.
        """

    async def events_of(self, stream: str, after_sequence: int = 0, limit: int = 10_000) -> list[Event]: ...
    async def recent_events(self, limit: int, before: int | None, event_type: str | None) -> list[Event]:
        """Newest first, below a position."""

    async def find_events(self, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Page[Event]:
        """Newest first below a position, of any of these types (empty: all) and of a stream (None: all).

        The next cursor is a position. A page may hold fewer than `limit`, even none, and still have a next one: a search
        for what is rare looks through a bounded part of the feed at a time.
        """

    async def attempts(self, job_id: str) -> list[Attempt]:
        """Every attempt in order; a running one is the last, with outcome `running`."""

    async def counts(self) -> dict[tuple[str, str, str], int]:
        """(queue, type, state) -> how many jobs, from one snapshot."""

    # ---- audit -------------------------------------------------------------------------------------------------
    async def counted(self) -> tuple[int, dict[tuple[str, str, str], int]]:
        """The counts, and the position of the feed that they stand at."""

    async def jobs_with_history(self, after: int, limit: int) -> list[tuple[int, Job, list[Event], list[Attempt]]]:
        """The next jobs in the order of acceptance, each with its number, its events up to its sequence, its ended attempts."""

    async def schedules_with_history(self) -> list[tuple[str, Schedule | None, list[Event]]]:
        """Each schedule that is stored or told of: its name, its row, and its events in order without the firings and skips
        that later ones outdo."""

    async def restore_schedules(self, schedules: Mapping[str, Schedule | None]) -> None:
        """Writes rows as the log tells them; None takes the row away."""

    async def missing(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these jobs that have no row."""

    async def waiting(self, job_ids: Sequence[str]) -> list[Waiting]:
        """Those of these jobs that wait."""

    async def restore(self, histories: Sequence[tuple[str, Folded]]) -> None:
        """Writes rows and attempts as the log tells them, and the counts that follow; a job without events loses its row."""

    async def restore_waiting(self, open_parents: Mapping[str, Sequence[str]]) -> None:
        """Has each job wait for these of its parents, and for no others."""

    async def free_waiting(self, waiting: Mapping[str, Sequence[str]]) -> int:
        """Those of these jobs that wait for nobody go on, as by the end of the last of their parents (given with each); how many."""

    # ---- dead letters and refusals -----------------------------------------------------------------------------
    async def keep_dead_letter(self, letter: DeadLetter) -> None:
        """One for each (trigger, source, event_id): another letter adds its attempts, the same one (by its id) again changes nothing."""

    async def dead_letters(self, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]: ...
    async def dead_letter(self, letter_id: str) -> DeadLetter: ...
    async def dead_letter_counts(self, since: int = 0) -> dict[str, int]:
        """status -> how many of those that were kept at this instant or later."""

    async def dead_letter_of(self, trigger: str, source: str, event_id: str) -> DeadLetter | None:
        """The letter that is kept for an event that a Trigger's subscriber could not handle."""

    async def resolve_dead_letters(self, readers: Sequence[str], position: int, claimers: Sequence[str]) -> int:
        """Marks doorbells that died because something was away as `resolved`, now that what they rang for was done.

        Of the Triggers `readers` (whose subscriber reads the feed) those at or below `position`; of `claimers` (whose subscriber
        claims jobs) a `job.queued` whose job is queued no more. Of no other Trigger: nobody but its subscriber knows what
        became of the event. Returns how many.
        """

    async def tell_of_dead_letter(self, letter_id: str, participle: str, data: dict[str, Any], actor: str) -> None:
        """Commits `deadletter.replayed` or `deadletter.discarded` together with the letter's new status."""

    async def remember_secrets(self, schemas: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Keeps payload schemas that mark secrets, by type and for good; answers all that were ever kept, so that what a task
        once hid stays hidden when the task changes or goes."""

    async def record_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Counts refusals by type, reason and minute; keeps at most 10 samples a minute."""

    async def refusals(self, limit: int, subject_type: str | None = None) -> list[dict[str, Any]]:
        """The newest counters, of one type or of all: ``{"minute", "type", "reason", "count", "samples"}`` each."""
