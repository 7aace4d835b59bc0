"""Jobs of all kinds, as a busy system collects them: what searches are measured on.

Of a hundred, some fifty say something in their payload, eight failed at least once, twenty have a tag that one in thirty of
all has, five were made by another job. Words are drawn by Zipf's law from a vocabulary, as in text that people write.
"""

import random
from itertools import accumulate
from typing import Any

from contracts.job import Job, JobRequest
from functions.stores.moves import Ending

TYPES = (("demo.noop", 30), ("text.statistics", 25), ("csv.summary", 15), ("file.digest", 12), ("http.call", 10), ("mail.send", 6), ("report.nightly", 2))
QUEUES = (("default", 60), ("bulk", 30), ("io", 10))
ACTORS = tuple(f"service-{number}" for number in range(20))
TAGS = tuple(f"team-{number}" for number in range(30))
ERRORS = (
    ("FileNotFoundError", "no such file or directory: 'data/part-{n}.csv'"),
    ("TimeoutError", "the handler ran for more than 60 s"),
    ("ConnectionError", "connection refused by host-{n}.example.com"),
    ("ValueError", "the input was not as expected"),
    ("KeyError", "'customer'"),
)
TRACEBACK = 'File "tasks/{module}.py", line {line}, in {function}\n    raise {kind}(text)'
VOCABULARY = tuple(a + b + c for a in ("", "re", "un", "over") for b in ("count", "load", "sort", "write", "bind", "fold") for c in ("", "er", "ing", "ed"))
RARE = 20_000  # further words, each in few payloads
SOON = {"initial_seconds": 0.001, "factor": 1.0, "maximum_seconds": 0.001, "jitter": False}


def _weights(choices: tuple[tuple[str, int], ...]) -> tuple[list[str], list[int]]:
    return [name for name, _ in choices], list(accumulate(weight for _, weight in choices))


_TYPES, _QUEUES = _weights(TYPES), _weights(QUEUES)
_ZIPF = list(accumulate(1 / (rank + 1) for rank in range(len(VOCABULARY))))


class VariedJobs:
    name = "varied"

    def __init__(self) -> None:
        self._recent: list[str] = []

    def request(self, chance: random.Random) -> JobRequest:
        (job_type,) = chance.choices(_TYPES[0], cum_weights=_TYPES[1])
        (queue,) = chance.choices(_QUEUES[0], cum_weights=_QUEUES[1])
        return JobRequest(
            job_type, _payload(job_type, chance), queue=queue, max_attempts=chance.choice((1, 2, 3)), backoff=SOON,
            tags=[chance.choice(TAGS)] if chance.random() < 0.2 else [], actor=chance.choice(ACTORS),
            parent_id=chance.choice(self._recent) if self._recent and chance.random() < 0.05 else None,
            run_at=2_500_000_000_000_000 if chance.random() < 0.002 else None,
        )  # fmt: skip

    def ending(self, job: Job, chance: random.Random) -> Ending:
        ran, kind = int(chance.lognormvariate(9, 2)), chance.random()
        parts: dict[str, Any] = {"ran_micros": ran, "instance": "filling", "worker": f"worker-{chance.randrange(4)}"}
        if chance.random() < 0.01:
            self._recent = [*self._recent[-99:], job.id]
        if kind < 0.01:
            return Ending(job.id, job.lease_token, "cancelled", **parts)
        if kind < 0.08:
            return Ending(job.id, job.lease_token, "failed", error=_error(chance), output=f"gave up after {ran} steps", **parts)
        output = f"wrote {chance.randrange(100_000)} rows to {chance.choice(VOCABULARY)}" if kind < 0.3 else None
        return Ending(job.id, job.lease_token, "succeeded", result={"rows": ran}, output=output, **parts)


def _payload(job_type: str, chance: random.Random) -> dict[str, Any]:
    if job_type == "demo.noop":
        return {"echo": chance.randrange(1_000_000)} if chance.random() < 0.3 else {}
    if job_type in ("file.digest", "csv.summary"):
        return {"path": f"data/{chance.choice(VOCABULARY)}/part-{chance.randrange(1_000)}.csv"}
    if job_type == "http.call":
        return {"url": f"http://host-{chance.randrange(50)}.example.com/{chance.choice(VOCABULARY)}", "body": {"customer": {"id": chance.randrange(50_000)}}}
    words = chance.choices(VOCABULARY, cum_weights=_ZIPF, k=chance.randrange(4, 16))
    return {"text": " ".join([*words, f"word{chance.randrange(RARE)}"]), "customer": {"id": chance.randrange(50_000), "region": chance.choice("nesw")}}


def _error(chance: random.Random) -> dict[str, Any]:
    kind, text = chance.choice(ERRORS)
    place = TRACEBACK.format(module=chance.choice(VOCABULARY), line=chance.randrange(1, 400), function=chance.choice(VOCABULARY), kind=kind)
    return {"type": kind, "message": text.format(n=chance.randrange(1_000)), "traceback": place}
