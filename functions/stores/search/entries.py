"""What the search index holds of a job."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from contracts.query.matching import error_parts, payload_texts
from contracts.query.words import leaves, value_key, words

LONGEST_KEY = 120
_BETWEEN, _BEFORE_VALUE = "\x1f", "\x1e"
Shown = Callable[[str, Any], Any]  # type, payload -> the payload as far as it may be seen

RAW = ("number", "id", "type", "queue", "status", "attempt", "started_at", "finished_at", "actor", "schedule", "parent_id", "root_id", "tags",
       "payload", "error")  # fmt: skip
"""What a store reads for an entry, JSON as text; behind it a list of what the job's attempts printed."""


@dataclass(slots=True)
class Entry:
    """A job as it is indexed: `lasting` terms never change, `said` are words of error and output. Durations in microseconds."""

    number: int
    state: str
    type: str
    queue: str
    attempt: int
    duration: int | None
    has_error: bool
    lasting: set[str]
    said: set[str]


def entries(raw: Iterable[Sequence[Any]], shown: Shown) -> list[Entry]:
    """The entries of rows as in RAW."""
    return [_entry(*row, shown=shown) for row in raw]


def _entry(
    number: int, job_id: str, job_type: str, queue: str, state: str, attempt: int, started_at: int | None, finished_at: int | None,
    actor: str, schedule: str | None, parent_id: str | None, root_id: str, tags: str, payload: str, error: str | None, outputs: list[str],
    *, shown: Shown,
) -> Entry:  # fmt: skip
    lasting = {exact_term("actor", actor)}
    if schedule is not None:
        lasting.add(exact_term("schedule", schedule))
    if parent_id is not None:
        lasting.add(exact_term("parent", parent_id))
    if root_id != job_id:
        lasting.add(exact_term("root", root_id))
    if tags != "[]":
        lasting.update(exact_term("tag", tag) for tag in orjson.loads(tags))
    if payload != "{}":
        _add_payload(lasting, shown(job_type, orjson.loads(payload)))
    said: set[str] = set()
    if error is not None:
        for text in error_parts(orjson.loads(error)):
            said.update(error_term(phrase) for phrase in phrases(words(text)))
    for text in outputs:
        said.update(word_term(phrase) for phrase in phrases(words(text)))
    duration = max(finished_at - started_at, 0) if started_at is not None and finished_at is not None else None
    return Entry(number, state, job_type, queue, attempt, duration, error is not None, lasting, said)


def _add_payload(terms: set[str], payload: Any) -> None:
    terms.update(value_term(path, value_key(value)) for path, value in leaves(payload))
    for text in payload_texts(payload):
        terms.update(word_term(phrase) for phrase in phrases(words(text)))


def phrases(found: Sequence[str]) -> Iterator[str]:
    """Every word, and every two words that follow each other."""
    yield from found
    for one, other in pairwise(found):
        yield f"{one} {other}"


# ---- how terms are written in the index -------------------------------------------------------------------------

ALL, ERROR, ERRED, UNSURE = "*", "!error", "!erred", "!unsure"  # there at all; has an error; ever had; had more than one


def exact_term(field: str, value: str) -> str:
    return f"{field}:{value}"


def word_term(phrase: str) -> str:
    return f"w {phrase}"


def error_term(phrase: str) -> str:
    return f"e {phrase}"


def value_term(path: Sequence[str], key: str) -> str:
    """Long ones are cut, so that some values share a term."""
    return f"v {_BETWEEN.join(path)}{_BEFORE_VALUE}{key}"[:LONGEST_KEY]
