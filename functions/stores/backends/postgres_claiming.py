"""Claims on PostgreSQL. Queues without conditions are claimed from by anybody at once; a limit or a rate is counted under a lock."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from contracts.job import Job
from functions.stores import commands as cmd
from functions.stores.backends.postgres_transaction import Questions, Transaction
from functions.stores.rows import job_of

NO_LIMIT = 1 << 30


class Conditions(NamedTuple):
    """A queue that limits what is claimed from it, locked."""

    name: str
    max_running: int | None
    rate_per_second: float | None
    paused: bool
    tokens: float
    tokens_at: int


class Claiming:
    """`claims`: queue -> how many at most; `passed_over`: queue -> types that are not wanted."""

    def __init__(self, claims: Mapping[str, int], passed_over: Mapping[str, Collection[str]], unit: cmd.Unit) -> None:
        self._claims, self._unit = claims, unit
        self._passed_over = {queue: sorted(types) for queue, types in passed_over.items()}
        self._limited: list[Conditions] = []
        self._tokens: dict[str, float] = {}  # of queues with a rate, before what is claimed now

    def ask(self, questions: Questions) -> None:
        """Locks the queues that have conditions, and claims from the others."""
        if not self._claims:
            return
        questions.add(lambda rows: self._limited.extend(Conditions(*row) for row in rows), "lock_limited_queues", names=sorted(self._claims))
        for queue, limit in sorted(self._claims.items()):
            self._unit.claimable[queue] = []
            questions.add(self._taker(queue), "claim", queue=queue, limit=limit, passed_over=self._passed_over.get(queue, []))

    def ask_limited(self, questions: Questions) -> None:
        """Claims what the conditions let go, now that they are known and locked."""
        for queue in self._limited:
            limit = self._claims[queue.name]
            if queue.rate_per_second is not None:
                self._tokens[queue.name] = tokens = _tokens(queue, queue.rate_per_second, self._unit.now)
                limit = min(limit, int(tokens))
            if limit > 0 and not queue.paused:
                most = queue.max_running if queue.max_running is not None else NO_LIMIT
                questions.add(self._taker(queue.name), "claim_limited", queue=queue.name, limit=limit, max_running=most,
                              passed_over=self._passed_over.get(queue.name, []))  # fmt: skip

    def spend(self, transaction: Transaction) -> None:
        """Takes a token for each job that was claimed from a queue with a rate."""
        for queue in self._limited:
            taken = len(self._unit.claimable[queue.name])
            if taken and queue.name in self._tokens:
                tokens, at = self._tokens[queue.name] - taken, max(self._unit.now, queue.tokens_at)
                transaction.add("spend_tokens", queue=queue.name, tokens=tokens, tokens_at=at)

    def _taker(self, queue: str) -> Any:
        return lambda rows: self._unit.claimable[queue].extend(self._adopt(rows))

    def _adopt(self, rows: Sequence[Any]) -> list[Job]:
        """With their payloads, also if they were looked at before without."""
        jobs = []
        for row in rows:
            job = job_of(row)
            known = self._unit.jobs.setdefault(job.id, job)
            known.payload = job.payload
            jobs.append(known)
        return jobs


def _tokens(queue: Conditions, rate: float, now: int) -> float:
    """A token bucket that holds one second's worth, at least one job."""
    gained = max(now - queue.tokens_at, 0) / 1_000_000 * rate
    return min(max(rate, 1.0), queue.tokens + gained)
