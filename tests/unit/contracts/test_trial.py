"""A schema tried out on documents, the changes between schemas, and that nothing secret can be asked for."""

from typing import Any

import pytest

from contracts import schema_files
from contracts.changes import changes
from contracts.errors import ConfigurationError
from contracts.redaction import REDACTED
from contracts.trial import trial

OBJECT = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 84}}, "required": ["n"]}


def test_it_counts_names_and_shows_what_would_be_refused() -> None:
    told = trial(OBJECT, [*({"n": n} for n in range(100)), {}, {"n": "x"}])
    assert told["refused"] == 17
    assert told["faults"][0] == {"pointer": "/n", "detail": "must be 84 or less", "count": 15}
    assert {fault["pointer"]: fault["count"] for fault in told["faults"][1:]} == {"/n": 1} or len(told["faults"]) == 3
    assert [example["index"] for example in told["examples"]] == list(range(85, 95))


def test_the_same_fault_in_many_items_is_one() -> None:
    schema = {"type": "object", "properties": {"items": {"items": {"type": "integer"}}}}
    told = trial(schema, [{"items": [1, "a", "b"]}, {"items": ["c"]}])
    assert told["faults"] == [{"pointer": "/items/*", "detail": told["faults"][0]["detail"], "count": 2}]


def test_a_schema_that_takes_all_refuses_none() -> None:
    assert trial({}, [{"n": 1}, {}]) == {"refused": 0, "faults": [], "examples": []}
    assert trial(OBJECT, []) == {"refused": 0, "faults": [], "examples": []}


@pytest.mark.parametrize("secret", ["^a", "^b"])
def test_whether_a_secret_would_fit_cannot_be_asked(secret: str) -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string", "pattern": secret, "minLength": 40}, "n": {"type": "integer"}}}
    assert trial(schema, [{"password": REDACTED, "n": 1}])["refused"] == 0
    assert trial(schema, [{"password": REDACTED, "n": "x"}])["faults"] == [{"pointer": "/n", "detail": "must be a whole number", "count": 1}]


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"$ref": "http://elsewhere.example/schema"}, {"$ref": "file:///etc/passwd"}, {"$schema": "odd"}])
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        trial(schema, [{}])


def test_schemas_of_the_contracts_may_be_referred_to() -> None:
    schema = {"type": "object", "properties": {"status": {"$ref": "urn:observatory:schema:common:v1#/$defs/status"}}}
    assert trial(schema, [{"status": "queued"}, {"status": "odd"}])["refused"] == 1


# ---- changes ------------------------------------------------------------------------------------------------------


def test_each_place_that_differs_is_named() -> None:
    before = {"type": "object", "required": ["a"], "properties": {"a": {"maximum": 9}, "b/c": {}}}
    after = {"type": "object", "required": ["a", "d"], "properties": {"a": {"maximum": 7}, "d": {"type": "string"}}}
    assert [(change.pointer, change.kind, change.before, change.after) for change in changes(before, after)] == [
        ("/properties/a/maximum", "changed", 9, 7), ("/properties/b~1c", "removed", {}, None), ("/properties/d", "added", None, {"type": "string"}),
        ("/required", "changed", ["a"], ["a", "d"])]  # fmt: skip


def test_equal_schemas_have_no_changes() -> None:
    for name in schema_files.names():
        assert list(changes(schema_files.schema(name), schema_files.schema(name))) == []
