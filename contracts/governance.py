"""Whether the schemas still keep what the last release promised: `python -m contracts check` and `release`.

Requests and payloads may not be narrowed. Answers may not lose what they promised. Events are both: consumers read
them, and every log that was ever written must still be taken. Released schemas, their examples and the fields that each
consumer reads stand under `released/`.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson

from contracts.compatibility import Difference, Library, Spot, has_field, narrowings
from contracts.event_types import EVENT_TYPES
from contracts.schema_files import name_of

FOLDER = Path(__file__).parent
_REQUESTS = frozenset({"job-request", "job-batch", "job-batch-item", "schedule-request", "wishes", "events/job.requested.v1"})
_ANSWERS = frozenset({"job", "schedule", "problem", "answers"})
_PARTS = frozenset({"common"})  # judged where others use them
_LOG = "logged-event"
_BOOKS = frozenset({"answers", "wishes"})  # each definition is a document of its own
_WEAKER = frozenset({"type", "required"})
_WEAKER_WHERE_READ = frozenset({"type", "required", "values"})  # not "closed": readers ignore what they do not know


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise: the schema, the place in its documents, and a sentence."""

    schema: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.schema}: {self.place or 'the document'} {self.message}"


@dataclass(frozen=True, slots=True)
class Contracts:
    """A set of schemas and examples, by name, as they stand in a folder."""

    schemas: Mapping[str, Any]
    examples: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Contracts":
        return cls(_documents(folder / "schemas"), _documents(folder / "examples"))


Consumers = Mapping[str, Mapping[str, list[str]]]


def check(folder: Path = FOLDER) -> list[Finding]:
    """Everything that the schemas of a folder take away from what is released in it; empty when nothing is."""
    released = folder / "released"
    consumers: Consumers = orjson.loads((released / "consumers.json").read_bytes()) if released.exists() else {}
    return compare(Contracts.read(released), Contracts.read(folder), consumers)


def taken_away(name: str, folder: Path = FOLDER) -> list[Finding]:
    """What one schema takes away from what was released of it."""
    released = folder / "released"
    consumers: Consumers = orjson.loads((released / "consumers.json").read_bytes())
    old, new = Contracts.read(released), Contracts.read(folder)
    return list(_compare_one(name, old, new, consumers)) if name in old.schemas else []


def compare(old: Contracts, new: Contracts, consumers: Consumers) -> list[Finding]:
    """The findings between two sets of schemas. `consumers`: consumer -> schema -> places that it reads."""
    found = [*_unusable(new), *_missing_types(new)]
    if found:
        return found  # nothing can be compared with a schema that does not work
    for name in sorted(old.schemas):
        found += _compare_one(name, old, new, consumers)
    return [*found, *_unread(new, consumers)]


def release(folder: Path = FOLDER) -> list[Finding]:
    """Makes the schemas and examples the released ones, unless `check` finds something; returns what it found."""
    findings = check(folder)
    if not findings:
        for part in ("schemas", "examples"):
            shutil.rmtree(folder / "released" / part, ignore_errors=True)
            shutil.copytree(folder / part, folder / "released" / part)
    return findings


def _documents(folder: Path) -> dict[str, Any]:
    return {
        path.relative_to(folder).as_posix()[: -len(".json")]: orjson.loads(path.read_bytes()) for path in sorted(folder.rglob("*.json"))
    }


def _compile(contracts: Contracts, name: str) -> jsonschema_rs.Draft202012Validator:
    def retrieve(uri: str) -> Any:
        return contracts.schemas[name_of(uri)]

    return jsonschema_rs.Draft202012Validator(contracts.schemas[name], validate_formats=True, retriever=retrieve)


def _unusable(new: Contracts) -> Iterator[Finding]:
    for name, schema in new.schemas.items():
        try:
            _compile(new, name)
            if name_of(schema.get("$id", "")) != name:
                yield Finding(name, "", f"has the $id {schema['$id']}, which is the address of another schema")
        except ValueError as error:
            yield Finding(name, "", f"is no usable schema: {str(error).splitlines()[0]}")


def _missing_types(new: Contracts) -> Iterator[Finding]:
    for kind in EVENT_TYPES.values():
        name = f"events/{kind.short}.v{kind.version}"
        if name not in new.schemas:
            yield Finding(name, "", f"has no schema, but contracts/event_types.py names {kind.name}")


def _compare_one(name: str, old: Contracts, new: Contracts, consumers: Consumers) -> Iterator[Finding]:
    if name not in new.schemas:
        yield Finding(name, "", "was removed; a released schema stays, because what was written by it stays")
        return
    if name in _BOOKS:
        for lost in old.schemas[name]["$defs"].keys() - new.schemas[name].get("$defs", {}).keys():
            yield Finding(name, f"/$defs/{lost}", "was removed")
    if name not in _ANSWERS | _PARTS:
        yield from _refused_example(name, old, new)
    for part, before, now in _pairs(name, old, new):
        if name not in _ANSWERS:
            yield from _narrowed(part, before, now)
        if name not in _REQUESTS and not name.startswith("tasks/"):
            yield from _weakened(part, before, now, consumers)


def _pairs(name: str, old: Contracts, new: Contracts) -> Iterator[tuple[str, Spot, Spot]]:
    """What is to be compared under a name: itself, and each definition that is a document or what the log demands of a noun."""
    before, now = Library(old.schemas).at(name), Library(new.schemas).at(name)
    if name not in _PARTS:
        yield name, before, now
    if name == _LOG or name in _BOOKS:
        for noun, schema in before.get("$defs", {}).items():
            yield f"{name}#/$defs/{noun}", before.inner(schema), now.inner(now.get("$defs", {}).get(noun, False))


def _narrowed(name: str, before: Spot, now: Spot) -> Iterator[Finding]:
    of_the_log = (name.startswith("events/") and name not in _REQUESTS) or name.startswith(_LOG)
    for difference in narrowings(before, now, open_to_new_fields=of_the_log):
        yield Finding(name, difference.place, f"{difference.message}; make a new version for that")


def _refused_example(name: str, old: Contracts, new: Contracts) -> Iterator[Finding]:
    if name not in old.examples:
        return
    example = old.examples[name]["data"] if name.startswith("events/") else old.examples[name]
    if not _compile(new, name).is_valid(example):
        yield Finding(name, "", "refuses its own released example")


def _weakened(name: str, before: Spot, now: Spot, consumers: Consumers) -> Iterator[Finding]:
    for difference in narrowings(now, before):  # what the new one lets through and the old one did not
        readers = _readers(difference.place, name, consumers)
        if difference.kind in (_WEAKER_WHERE_READ if readers else _WEAKER):
            yield Finding(name, difference.place, _loss(difference, readers))


def _loss(difference: Difference, readers: list[str]) -> str:
    read = f" (read by {', '.join(readers)})" if readers else ""
    if difference.kind == "required":
        missing = difference.message.split("'")[1]
        return f"may lack {missing!r} now, which was always there{read}"
    return f"may hold what consumers do not expect{read}: what was released {difference.message}"


def _readers(place: str, name: str, consumers: Consumers) -> list[str]:
    def touches(read: str) -> bool:
        return read == place or read.startswith(f"{place}/") or place.startswith(f"{read}/")

    return sorted(who for who, reads in consumers.items() if any(touches(read) for read in reads.get(name, ())))


def _unread(new: Contracts, consumers: Consumers) -> Iterator[Finding]:
    library = Library(new.schemas)
    for who, reads in consumers.items():
        for name, places in reads.items():
            for place in places:
                if name not in new.schemas or not has_field(library.at(name), place):
                    yield Finding(name, place, f"is read by {who}, but the schema does not have it")
