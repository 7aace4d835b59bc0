"""Whether a job fits a query, in plain Python: what every store's answer must equal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from operator import eq, ge, gt, le, lt
from typing import Any

from contracts.job import Job
from contracts.query.syntax import AllOf, AnyOf, Compare, ErrorSays, Is, Node, Not, PayloadIs, Says, Term
from contracts.query.words import SEARCHED_CHARACTERS, follow_each_other, leaves, value_key, words

COMPARE: dict[str, Callable[[int, int], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le, "=": eq}
_COLUMNS = {"id": "id", "state": "status", "type": "type", "queue": "queue", "parent": "parent_id", "root": "root_id",
            "schedule": "schedule", "actor": "actor"}  # fmt: skip


class Subject:
    """A job as a query looks at it; what it takes to read texts is done once, and only when asked for."""

    def __init__(self, job: Job, now: int, outputs: Sequence[str] = ()) -> None:
        self.job, self.now, self.outputs = job, now, outputs

    def decides(self, term: Term) -> bool:
        return _TERMS[type(term)](term, self)

    @cached_property
    def payload_values(self) -> frozenset[tuple[tuple[str, ...], str]]:
        return frozenset((path, value_key(value)) for path, value in leaves(self.job.payload))

    @cached_property
    def error_texts(self) -> list[list[str]]:
        return [words(text) for text in error_parts(self.job.error)]

    @cached_property
    def texts(self) -> list[list[str]]:
        return [*(words(text) for text in payload_texts(self.job.payload)), *self.error_texts, *map(words, self.outputs)]


def error_parts(error: Mapping[str, object] | None) -> Iterator[str]:
    """The error's parts that are texts."""
    for part in ("type", "message", "traceback"):
        text = (error or {}).get(part)
        if isinstance(text, str):
            yield text


def payload_texts(payload: object) -> Iterator[str]:
    """The payload's texts and numbers, as far as they are searched."""
    left = SEARCHED_CHARACTERS
    for _, value in leaves(payload):
        if left > 0 and value is not None and not isinstance(value, bool):
            text = (value if isinstance(value, str) else value_key(value))[:left]
            left -= len(text)
            yield text


def duration_micros(job: Job, now: int) -> int | None:
    """How long the last attempt ran until the job ended, or runs; None while none does."""
    if job.started_at is None:
        return None
    if job.finished_at is not None:
        return max(job.finished_at - job.started_at, 0)
    return max(now - job.started_at, 0) if job.status == "running" else None


def holds(node: Node, decides: Callable[[Term], bool]) -> bool:
    """Whether a part of a query holds, by what is decided of each of its terms."""
    if isinstance(node, AllOf):
        return all(holds(part, decides) for part in node.parts)
    if isinstance(node, AnyOf):
        return any(holds(part, decides) for part in node.parts)
    return not holds(node.part, decides) if isinstance(node, Not) else decides(node)


def fits(node: Node, subject: Subject) -> bool:
    """Whether the subject fits a part of a query."""
    return holds(node, subject.decides)


def _is(term: Is, subject: Subject) -> bool:
    if term.field == "tag":
        return term.value in subject.job.tags
    return bool(getattr(subject.job, _COLUMNS[term.field]) == term.value)


def _compare(term: Compare, subject: Subject) -> bool:
    job, compare = subject.job, COMPARE[term.operator]
    if term.field == "attempt":
        return compare(job.attempt, term.value)
    micros = subject.now - job.created_at if term.field == "age" else duration_micros(job, subject.now)
    return micros is not None and compare(micros, term.value)


def _error_says(term: ErrorSays, subject: Subject) -> bool:
    wanted = _words(term.text)
    return any(follow_each_other(wanted, found) for found in subject.error_texts)


def _payload_is(term: PayloadIs, subject: Subject) -> bool:
    return (term.path, value_key(term.value)) in subject.payload_values


def _says(term: Says, subject: Subject) -> bool:
    if subject.job.id == term.text.lower():
        return True
    wanted = _words(term.text)
    return any(follow_each_other(wanted, found) for found in subject.texts)


@lru_cache(maxsize=256)
def _words(text: str) -> list[str]:
    return words(text)


_TERMS: dict[type, Callable[[Any, Subject], bool]] = {
    Is: _is, Compare: _compare, ErrorSays: _error_says, PayloadIs: _payload_is, Says: _says,
}  # fmt: skip
