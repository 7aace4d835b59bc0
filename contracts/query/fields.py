"""Every field of the query language: what it takes and what it says, as data for the parser, completion and help."""

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
    """`operators` are those that may follow the name; `example` is a whole term."""

    name: str
    kind: Kind
    operators: tuple[str, ...]
    meaning: str
    example: str


ORDER = (">=", "<=", ">", "<")
FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("id", Kind.EXACT, (":",), "the job's id", "id:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"),
        Field("state", Kind.STATE, (":",), "the job's state", "state:failed,retrying"),
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
}
ALIASES = {"status": "state"}
STATES = tuple(map(str, JobStatus))
UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def names() -> str:
    """The fields in words."""
    return ", ".join("payload.PATH" if name == "payload" else name for name in FIELDS)
