"""Jobs as they stood right after each of their events, folded from the log: what a live stream's query looks at.

So a stream that is resumed, or that begins in the past, gives exactly the events that it would have given live.
"""

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from contracts.errors import JobNotFound
from contracts.event import Event
from contracts.folding import Folded, fold_job, take
from contracts.job import Job, JobStatus
from contracts.times import from_rfc3339
from functions.runtime.redaction import Redact
from functions.stores.job_store import JobStore

JOBS_HELD = 500
LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class JobThen:
    """A job right after an event, at that event's instant; `ended` are the claims of it that had ended."""

    job: Job
    now: int
    ended: frozenset[int]


class JobsThen:
    """Folds the jobs of a feed; `redact` hides what may not be seen, so it cannot be searched for either."""

    def __init__(self, store: JobStore, redact: Redact, *, held: int = JOBS_HELD) -> None:
        self._store, self._redact, self._most = store, redact, held
        self._folded: OrderedDict[str, Folded] = OrderedDict()
        self._outputs: OrderedDict[str, tuple[int, dict[int, str]]] = OrderedDict()

    async def after(self, event: Event) -> JobThen | None:
        """The job of a redacted event as that left it; None when it is no job's event."""
        stream = event.subject or ""
        if not stream.startswith("job/"):
            return None
        sequence = int(event.document["sequence"])
        folded = self._folded.get(stream)
        if folded is None or folded.job is None or folded.job.sequence != sequence - 1:
            folded = Folded() if sequence == 1 else await self._fold(stream, sequence - 1)
        take(folded, event.document)
        self._keep(stream, folded)
        return _then(folded, event)

    async def _fold(self, stream: str, upto: int) -> Folded:
        events = await self._store.events_of(stream, 0, min(upto, LONGEST))
        return fold_job([event.document for event in await self._redact(events)])

    def _keep(self, stream: str, folded: Folded) -> None:
        """Jobs that go on, each as it was last: who reads the past goes its own way."""
        held = self._folded.get(stream)
        if folded.job is None or (held is not None and held.job is not None and held.job.sequence > folded.job.sequence):
            return
        if JobStatus(folded.job.status).is_terminal:
            self._folded.pop(stream, None)
            return
        self._folded[stream] = folded
        self._folded.move_to_end(stream)
        while len(self._folded) > self._most:
            self._folded.popitem(last=False)

    async def outputs(self, then: JobThen) -> Sequence[str]:
        """What its attempts had printed by then."""
        if not then.ended:
            return ()
        known = self._outputs.get(then.job.id)
        if known is None or known[0] < max(then.ended):
            known = (max(then.ended), await self._read(then.job.id))
            self._outputs[then.job.id] = known
        while len(self._outputs) > self._most // 10:
            self._outputs.popitem(last=False)
        return [output for token, output in known[1].items() if token in then.ended]

    async def _read(self, job_id: str) -> dict[int, str]:
        try:
            attempts = await self._store.attempts(job_id)
        except JobNotFound:  # dropped meanwhile
            return {}
        return {attempt.lease_token: attempt.output for attempt in attempts if attempt.output and attempt.finished_at is not None}


def _then(folded: Folded, event: Event) -> JobThen | None:
    if folded.job is None:
        return None
    ended = frozenset(token for token, attempt in folded.attempts.items() if attempt.finished_at is not None)
    return JobThen(copy(folded.job), from_rfc3339(event.document["time"]), ended)
