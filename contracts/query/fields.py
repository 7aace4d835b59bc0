"""Every field of the query language: what it takes and what it says, as data for the parser, completion and help.

Jobs are asked by `FIELDS`; dead letters, by the same grammar, by `LETTER_FIELDS`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from contracts.job import JobStatus


class Kind(Enum):
    """How a field's value is read."""

    EXACT = "exact"  # the value as it is
    STATE = "state"  # one of the states
    TIME = "time"  # compared with a length of time
    NUMBER = "number"  # compared with a whole number
    TEXT = "text"  # words that follow each other
    PAYLOAD = "payload"  # payload.PATH:value


@dataclass(frozen=True, slots=True)
class Field:
    """`operators` are those that may follow the name; `example` is a whole term; of a state, `values` are all there are."""

    name: str
    kind: Kind
    operators: tuple[str, ...]
    meaning: str
    example: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Language:
    """What may be asked of one kind of thing."""

    fields: Mapping[str, Field]
    aliases: Mapping[str, str]

    @property
    def names(self) -> str:
        """The fields in words."""
        return ", ".join("payload.PATH" if field.kind is Kind.PAYLOAD else name for name, field in self.fields.items())

    def field(self, name: str) -> Field | None:
        """The field of a name as it is typed."""
        return self.fields.get(self.aliases.get(name.lower(), name.lower()))


def _by_name(fields: Iterable[Field]) -> dict[str, Field]:
    return {field.name: field for field in fields}


ORDER = (">=", "<=", ">", "<")
STATES = tuple(map(str, JobStatus))
LETTER_STATES = ("kept", "replayed", "discarded", "resolved")
FIELDS = _by_name(
    (
        Field("id", Kind.EXACT, (":",), "the job's id", "id:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"),
        Field("state", Kind.STATE, (":",), "the job's state", "state:failed,retrying", STATES),
        Field("type", Kind.EXACT, (":",), "the task type", "type:text.statistics"),
        Field("queue", Kind.EXACT, (":",), "the queue", "queue:bulk"),
        Field("tag", Kind.EXACT, (":",), "one of the job's tags", "tag:nightly"),
        Field("parent", Kind.EXACT, (":",), "the id of the job that this one was made by or from", "parent:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"),
        Field("root", Kind.EXACT, (":",), "the id of the first job of its family", "root:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"),
        Field("schedule", Kind.EXACT, (":",), "the schedule that submitted it", "schedule:every-morning"),
        Field("actor", Kind.EXACT, (":",), "who submitted it", "actor:anna"),
        Field("age", Kind.TIME, ORDER, "the time since it was accepted", "age<1h30m"),
        Field("duration", Kind.TIME, ORDER, "how long its last attempt ran, or runs", "duration>2.5s"),
        Field("attempt", Kind.NUMBER, (*ORDER, "=", ":"), "how many attempts have begun", "attempt>=3"),
        Field("error", Kind.TEXT, (":",), "words of its error's type, message or traceback", 'error:"no such file"'),
        Field("payload", Kind.PAYLOAD, (":",), "a value of the payload, found by its path", "payload.customer.name:anna"),
    )
)
LETTER_FIELDS = _by_name(
    (
        Field("id", Kind.EXACT, (":",), "the dead letter's id", "id:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"),
        Field("status", Kind.STATE, (":",), "what became of it", "status:kept", LETTER_STATES),
        Field("trigger", Kind.EXACT, (":",), "the Trigger whose subscriber could not handle it", "trigger:processor-default"),
        Field("type", Kind.EXACT, (":",), "the event's type", "type:dev.observatory.job.queued.v1"),
        Field("source", Kind.EXACT, (":",), "the event's source", "source:/billing"),
        Field("event", Kind.EXACT, (":",), "the event's id", "event:order-1"),
        Field("reason", Kind.TEXT, (":",), "words of the reason", 'reason:"connection refused"'),
        Field("attempts", Kind.NUMBER, (*ORDER, "=", ":"), "how often it was tried", "attempts>=3"),
        Field("age", Kind.TIME, ORDER, "the time since it was put aside", "age<1h30m"),
    )
)
UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}

JOBS = Language(FIELDS, {"status": "state"})
LETTERS = Language(LETTER_FIELDS, {"state": "status"})


def names() -> str:
    """The fields of jobs in words."""
    return JOBS.names
