"""From what a person types to a payload, by the task's JSON Schema. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from contracts import schema_files, strict_json
from contracts.errors import ConfigurationError, MalformedJson, ObservatoryError

Schema = Mapping[str, Any]


class BadArgument(ObservatoryError, ValueError):
    """An argument cannot be understood."""

    slug = "bad-argument"


def properties(schema: Schema) -> dict[str, Schema]:
    """The fields of a payload schema, those of `allOf`, `anyOf` and `oneOf` branches included."""
    found: dict[str, Schema] = dict(schema.get("properties") or {})
    if isinstance(schema.get("$ref"), str) and schema["$ref"] != "#":
        found = {**properties(resolved({"$ref": schema["$ref"]}, schema)), **found}
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword) or ():
            found = {**properties(resolved(branch, schema)), **found}
    return {name: resolved(field, schema) for name, field in found.items()}


def resolved(field: Any, root: Schema, depth: int = 0) -> Schema:
    """A field with its `$ref` looked up, in its own schema or in another of this project's; what it says beside it wins."""
    if not isinstance(field, Mapping):
        return {}
    reference = field.get("$ref")
    if not isinstance(reference, str) or depth > 20:
        return field
    where, _, pointer = reference.partition("#")
    try:
        root = schema_files.schema_by_uri(where) if where else root
    except (ValueError, ConfigurationError):
        return field
    target: Any = root
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, Mapping) else None
    return {**resolved(target, root, depth + 1), **{k: v for k, v in field.items() if k != "$ref"}}


def types_of(field: Schema) -> set[str]:
    """The JSON types that a field takes; empty for any."""
    given = field.get("type")
    if isinstance(given, str):
        return {given}
    if isinstance(given, list):
        return set(given)
    values = field["enum"] if isinstance(field.get("enum"), list) else [field["const"]] if "const" in field else []
    if values:
        return {_type_of(value) for value in values}
    branches = [b for keyword in ("anyOf", "oneOf") for b in field.get(keyword) or () if isinstance(b, Mapping)]
    kinds = [types_of(branch) for branch in branches]
    return set().union(*kinds) if kinds and all(kinds) else set()


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def value_of(text: str, field: Schema, name: str) -> Any:
    """A typed text as the field takes it: a number as a number, a text as it stands, lists and objects as JSON.

    A field of any type takes JSON, and what is no JSON as text. Raises BadArgument.
    """
    kinds = types_of(field)
    if not kinds:
        return _json_or(text, text)
    parsed = _json_or(text, None)
    for kind in ("null", "boolean", "integer", "number", "array", "object"):
        if kind in kinds and _is(parsed, kind) and (kind != "null" or text == "null"):
            return int(parsed) if kind == "integer" and "number" not in kinds else parsed
    if "string" in kinds:
        return text
    if "array" in kinds and not text.startswith("["):
        return [value_of(text, field.get("items") if isinstance(field.get("items"), Mapping) else {}, name)]  # type: ignore[arg-type]
    raise BadArgument(f"{name}: {text!r} is no {' or '.join(sorted(kinds))}")


def _json_or(text: str, other: Any) -> Any:
    try:
        return strict_json.loads(text.encode())
    except (MalformedJson, UnicodeEncodeError):
        return other


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == _type_of(value)
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value.is_integer())
    if kind == "number":
        return isinstance(value, int | float)
    return _type_of(value) == kind


def pair(text: str, fields: Mapping[str, Schema]) -> tuple[str, Any]:
    """`key=value`, typed by the schema, or `key:=JSON`, taken as it is; `outer.inner=value` is a field within an object. Raises
    BadArgument."""
    name, sign, value = text.partition("=")
    outer, dot, inner = name.partition(".")
    if dot and name.rstrip(":") not in fields and "object" in types_of(fields.get(outer, {})):
        within, found = pair(f"{inner}={value}" if sign else inner, properties(fields[outer]))
        return outer, {within: found}
    if not sign or not name.strip(":"):
        raise BadArgument(f"{text!r} is no part of a payload; write key=value, key:=JSON, --key value, @file.json, - or a JSON object")
    if name.endswith(":"):
        return name[:-1], parse_json(value.encode(), name[:-1])
    return name, value_of(value, fields.get(name, {}), name)


def merged(parts: Iterable[tuple[str, Any]], fields: Mapping[str, Schema]) -> dict[str, Any]:
    """Fields given one by one; a list field that is given twice gets both. Raises BadArgument for any other repeat."""
    payload: dict[str, Any] = {}
    for name, value in parts:
        if name not in payload:
            payload[name] = value
        elif "array" in types_of(fields.get(name, {})) and isinstance(value, list) and isinstance(payload[name], list):
            payload[name] = [*payload[name], *value]
        elif isinstance(value, dict) and isinstance(payload[name], dict) and not value.keys() & payload[name].keys():
            payload[name] = {**payload[name], **value}
        else:
            raise BadArgument(f"{name} is given twice")
    return payload


def parse_json(text: bytes, where: str) -> Any:
    """The value of a JSON text. Raises BadArgument that says where it breaks."""
    try:
        return strict_json.loads(text)
    except MalformedJson as error:
        raise BadArgument(f"{where}: {error.faults[0].message if error.faults else error.message}") from None
