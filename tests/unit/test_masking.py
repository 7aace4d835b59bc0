"""What a handler says, without the secrets of its payload."""

from typing import Any

import pytest

from contracts.catalogue import Catalogue, TaskDefinition
from contracts.redaction import redact_by, secrets_of
from functions.processor.masking import Mask, Masker

SCHEMA = {
    "type": "object", "additionalProperties": False,
    "properties": {
        "user": {"type": "string"}, "password": {"type": "string", "x-secret": True}, "pin": {"type": "integer", "x-secret": True},
        "vault": {"x-secret": True, "type": "object"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("it is s3cr3t'\n!", "it is [redacted]"),
        (repr({"p": "s3cr3t'\n!"}), "{'p': \"[redacted]\"}"),
        ('{"p": "s3cr3t\'\\n!"}', '{"p": "[redacted]"}'),
        ("pin 471147 of 9", "pin [redacted] of 9"),
        ("nothing", "nothing"),
        (None, None),
    ],
)
def test_text_loses_a_secret_however_it_is_written(said: str | None, kept: str | None) -> None:
    assert Mask(["s3cr3t'\n!", 471147, 9, "ab"]).text(said) == kept


def test_an_error_keeps_its_kind() -> None:
    error = {"type": "ValueError", "message": "not s3cr3t", "traceback": None}
    assert Mask(["s3cr3t"]).error(error) == {"type": "ValueError", "message": "not [redacted]", "traceback": None}


def test_a_result_loses_values_that_are_secrets_and_long_ones_anywhere() -> None:
    mask = Mask(["long-secret", "test", 471147, 7])
    result = {"a": ["test", "latest", 471147, 7, True, None], "b": "a long-secret one", "long-secret": 1}
    assert mask.result(result) == {"a": ["[redacted]", "latest", "[redacted]", 7, True, None], "b": "a [redacted] one", "[redacted]": 1}


def test_a_masker_knows_which_parts_are_secret() -> None:
    task = TaskDefinition("a.b", 1, "default", "", SCHEMA, 60, 1, {}, 4, None, "m")
    masker = Masker(Catalogue([task]))
    assert masker.of("a.b", {"user": "ada"}) is None and masker.of("other", {"password": "pppp"}) is None
    mask = masker.of("a.b", {"user": "ada", "password": "pppp", "vault": {"deep": ["qqqq", None, True]}})
    assert mask is not None and mask.text("ada pppp qqqq") == "ada [redacted] [redacted]"
    assert secrets_of(SCHEMA, {"pin": 12, "vault": {"a": [1, "x"]}, "user": "u"}) == [12, 1, "x"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"user": "ada", "password": "x"}, {"user": "ada", "password": "[redacted]"}),
        ({"user": "ada", "passwrod": "x"}, {"user": "ada", "passwrod": "[redacted]"}),
        ({"user": {"password": "x"}}, {"user": "[redacted]"}),
        ("x", "[redacted]"),
        ([1], "[redacted]"),
    ],
)
def test_of_what_was_refused_only_what_is_described_is_shown(value: Any, shown: Any) -> None:
    assert redact_by([SCHEMA], value, strict=True) == shown


def test_several_schemas_hide_what_any_of_them_marks() -> None:
    later = {"type": "object", "properties": {"password": {"type": "string"}, "token": {"x-secret": True}}}
    assert redact_by([SCHEMA, later], {"user": "u", "password": "p", "token": "t"}) == {"user": "u", "password": "[redacted]", "token": "[redacted]"}
