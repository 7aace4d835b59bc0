"""Each event type has schema, example and document; the two validators agree about every document."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import orjson
import pytest

from contracts import schema_files, validation, wording
from contracts.errors import ContractViolation, UnknownEventType
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, TICK_TYPE
from contracts.job import Job
from functions.processor.tasks.collect import collect

CONTRACTS = Path(schema_files.__file__).parent
EXAMPLES = sorted(
    str(path.relative_to(CONTRACTS / "examples").with_suffix("")) for path in (CONTRACTS / "examples").rglob("*.json")
)
ODD: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**12, "", "x", "2026-13-40", " ", "\u0007", "a" * 5_000, [], [None], {}, {"odd": 1})


def event_name(event_type: str) -> str:
    kind = EVENT_TYPES[event_type]
    return f"events/{kind.short}.v{kind.version}"


def whole_event_schema(event_type: str) -> dict[str, Any]:
    return validation._event_schema(event_type).schema


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_each_event_type_has_schema_example_and_document(event_type: str) -> None:
    name = event_name(event_type)
    assert schema_files.schema(name)["$schema"].endswith("2020-12/schema")
    document = schema_files.example(name)
    assert document["type"] == event_type
    validation.validate_event(Event(document))
    versions = (CONTRACTS / "VERSIONS.md").read_text()
    assert re.search(rf"`{re.escape(EVENT_TYPES[event_type].short)}`", versions), f"{event_type} is not in VERSIONS.md"


def test_there_is_no_schema_without_an_event_type() -> None:
    there = {path.stem for path in (CONTRACTS / "schemas" / "events").glob("*.json")}
    assert there == {f"{kind.short}.v{kind.version}" for kind in EVENT_TYPES.values()}


def test_every_built_in_task_has_a_schema_with_descriptions_and_an_example() -> None:
    for task in collect([]).definitions():
        for name, field in task.schema["properties"].items():
            assert field.get("description"), f"{task.type}: {name} has no description for its form"
    assert {path.stem for path in (CONTRACTS / "examples" / "tasks").glob("*.json")} == {
        path.stem for path in (CONTRACTS / "schemas" / "tasks").glob("*.json")
    }


def test_a_real_job_keeps_its_schema() -> None:
    job = Job("01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e", "demo.noop", 1, "default", 4, "queued", {}, 5, 5, 60.0, 1_795_000_000_000_000,
              {"initial_seconds": 2.0, "factor": 2.0, "maximum_seconds": 300.0, "jitter": True}, "anonymous",
              "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e")  # fmt: skip
    validation.validate("job", job.as_json())
    validation.validate("job", {**job.as_json(), "why_waiting": "its queue is paused"})


# ---- both validators --------------------------------------------------------------------------------------------


def schema_of(name: str) -> dict[str, Any]:
    if name.startswith("events/"):
        return whole_event_schema(schema_files.example(name)["type"])
    return schema_files.schema(name)


def mutations(document: Any) -> Iterator[Any]:
    """The document, then with each place dropped, made odd or joined by a stranger."""
    yield document
    for path in list(places(document)):
        for odd in ODD:
            yield put(document, path, odd)
        if path:
            yield drop(document, path)
        if isinstance(at(document, path), dict):
            yield put(document, (*path, "stranger"), 1)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(child, (*path, index))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def drop(document: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(document)
    del at(changed, path[:-1])[path[-1]]
    return changed


@pytest.mark.parametrize("name", EXAMPLES)
def test_both_validators_agree_over_every_mutation(name: str) -> None:
    """jsonschema-rs decides on the way through, jsonschema words the faults: they must see the same documents as good."""
    schema = schema_of(name)
    compiled = validation._Compiled(schema)
    reader = wording._reader(schema)
    refused = 0
    for document in mutations(schema_files.example(name)):
        quick = compiled.accepts(document)
        slow = reader.is_valid(document)
        assert quick == slow, (name, document, [error.message for error in reader.iter_errors(document)])
        refused += not quick
    assert refused > 5


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_a_mutated_event_of_each_type_is_refused_with_a_pointer(event_type: str) -> None:
    document = schema_files.example(event_name(event_type))
    for broken in ({**document, "data": "no object"}, drop(document, ("data",))):
        with pytest.raises(ContractViolation) as caught:
            validation.validate_event(Event(broken))
        assert caught.value.faults


def test_every_fault_is_listed_with_its_pointer() -> None:
    request = {"type": "Text", "payload": {}, "priority": 10, "tags": ["ok", ""], "run_at": "soon", "odd": 1}
    with pytest.raises(ContractViolation) as caught:
        validation.validate_job_request(request)
    assert {fault.pointer for fault in caught.value.faults} >= {"/type", "/priority", "/tags/1", "/run_at", "/odd"}
    assert all(fault.message for fault in caught.value.faults)


def test_what_is_of_another_type_has_that_fault_alone() -> None:
    assert [(fault.pointer, fault.message) for fault in validation.faults("job-request", [])] == [("", "must be an object")]


def test_how_many_is_said_in_words_that_fit_one_as_well() -> None:
    assert [fault.message for fault in validation.faults("job-batch", {"jobs": []})] == ["must have 1 or more items"]


def test_pointers_are_escaped_as_rfc_6901_says() -> None:
    schema = {"type": "object", "properties": {"a/b": {"type": "object", "properties": {"m~n": {"type": "string"}}}}}
    (fault,) = validation.faults(schema, {"a/b": {"m~n": 1}})
    assert fault.pointer == "/a~1b/m~0n"


def test_unknown_types_of_ours_are_refused_and_foreign_ones_pass_the_envelope() -> None:
    envelope = {"specversion": "1.0", "id": "1", "source": "/x"}
    with pytest.raises(UnknownEventType):
        validation.validate_event(Event({**envelope, "type": "dev.observatory.job.exploded.v1"}))
    validation.validate_event(Event({**envelope, "type": TICK_TYPE}))
    with pytest.raises(ContractViolation):
        validation.validate_event(Event({**envelope, "id": "", "type": TICK_TYPE}))


def test_examples_hold_no_duplicate_keys_and_are_canonical_json_values() -> None:
    for name in EXAMPLES:
        assert orjson.loads(orjson.dumps(schema_files.example(name))) == schema_files.example(name)


def test_the_libraries_are_those_that_the_decisions_name() -> None:
    assert jsonschema_rs.Draft202012Validator and jsonschema.Draft202012Validator


# ---- redaction --------------------------------------------------------------------------------------------------


def test_secrets_are_redacted_wherever_a_schema_puts_them() -> None:
    secret = {"type": "string", "x-secret": True}
    schema = {
        "type": "object",
        "properties": {"password": secret, "users": {"type": "array", "items": {"$ref": "#/$defs/user"}}},
        "additionalProperties": {"type": "object", "properties": {"token": secret}},
        "$defs": {"user": {"type": "object", "properties": {"name": {"type": "string"}, "key": secret}}},
    }
    value = {"password": "p", "users": [{"name": "ada", "key": "k"}], "other": {"token": "t", "plain": 1}}
    assert validation.has_secrets(schema)
    assert validation.redact(schema, value) == {
        "password": "[redacted]", "users": [{"name": "ada", "key": "[redacted]"}], "other": {"token": "[redacted]", "plain": 1},
    }  # fmt: skip
    assert value["password"] == "p"  # the stored value stays whole
    assert not validation.has_secrets({"type": "object", "properties": {"a": {"type": "string"}}})
