"""Words for what a schema refused: every fault with its JSON pointer and what to do about it.

Compiled jsonschema-rs gives the verdict (`contracts.validation`); jsonschema, imported here and only when something was
refused, lists the faults. No message repeats a value of the document, since it might be a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import jsonschema
import jsonschema_rs
from jsonschema import validators
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012

from contracts import schema_files
from contracts.errors import Fault
from contracts.strict_json import dumps_text

MOST_FAULTS = 100
_MOST_VALUES = 2_000  # jsonschema costs some 5 us a value: a larger document is left to the compiled engine
_LONGEST_POINTER = 1_000

Path = tuple[str | int, ...]


class _Found(NamedTuple):
    path: Path
    message: str


def list_faults(schema: dict[str, Any], document: Any) -> list[Fault]:
    """Every fault of a document that the compiled schema refused, sorted by place; 100 at most are listed."""
    found = _by_jsonschema(schema, document) if _is_small(document) else []
    found = found or _by_compiled(schema, document)
    listed = [Fault(pointer_of(path), message) for path, message in sorted(set(found[:MOST_FAULTS]), key=_in_document_order)]
    if len(found) > MOST_FAULTS:
        listed.append(Fault("", f"has more faults; the first {MOST_FAULTS} are listed"))
    return listed


def pointer_of(path: Path) -> str:
    """The JSON pointer (RFC 6901) of a path; of the nearest place above it when that would be very long."""
    pointer = ""
    for token in path:
        longer = f"{pointer}/{str(token).replace('~', '~0').replace('/', '~1')}"
        if len(longer) > _LONGEST_POINTER:
            break
        pointer = longer
    return pointer


def _in_document_order(found: _Found) -> tuple[list[tuple[bool, int, str]], str]:
    tokens = [(isinstance(token, str), 0 if isinstance(token, str) else token, str(token)) for token in found.path]
    return tokens, found.message


def _is_small(document: Any) -> bool:
    left, pending = _MOST_VALUES, [document]
    while pending and left > 0:
        value = pending.pop()
        left -= 1
        if isinstance(value, dict):
            left -= len(value)
            pending.extend(value.values() if left > 0 else ())
        elif isinstance(value, list):
            left -= len(value)
            pending.extend(value if left > 0 else ())
    return left > 0


# --- the compiled engine, for what the other cannot do -------------------------------------------------------------


def _by_compiled(schema: dict[str, Any], document: Any) -> list[_Found]:
    try:
        validator = jsonschema_rs.Draft202012Validator(
            schema, validate_formats=True, retriever=schema_files.schema_by_uri, mask="the value"
        )
        errors = list(islice(validator.iter_errors(document), MOST_FAULTS + 1))
    except ValueError as error:  # what is no JSON at all: lone surrogates, nesting without end
        return [_Found((), f"is not JSON: {type(error).__name__}")]
    return [found for error in errors for found in _from_compiled(error)] or [_Found((), "is not valid")]


def _from_compiled(error: jsonschema_rs.ValidationError) -> Iterator[_Found]:
    path: Path = tuple(error.instance_path)
    details = error.kind.as_dict()
    if error.kind.name == "required":
        yield _Found((*path, details["property"]), _MISSING)
    elif error.kind.name == "additionalProperties":
        yield from (_Found((*path, name), _UNKNOWN) for name in details["unexpected"])
    else:
        yield _Found(path, error.message)


# --- jsonschema ----------------------------------------------------------------------------------------------------


def _by_jsonschema(schema: dict[str, Any], document: Any) -> list[_Found]:
    try:
        errors = list(islice(_reader(schema).iter_errors(document), MOST_FAULTS + 1))
        of_another_type = {tuple(error.absolute_path) for error in errors if error.validator == "type"}  # what else is said of these means nothing
        return [
            found for error in errors if error.validator == "type" or tuple(error.absolute_path) not in of_another_type
            for found in _worded(error)
        ]  # fmt: skip
    except Exception:  # a schema of a user may hold what Python's engine cannot run; the verdict does not rest on it
        return []


def _reader(schema: dict[str, Any]) -> Any:
    return _SpellingValidator(_undeclared(schema), registry=_registry())


@lru_cache(maxsize=1)
def _registry() -> Registry[Any]:
    return Registry(retrieve=_retrieve)  # type: ignore[call-arg]


def _retrieve(uri: str) -> Resource[Any]:
    try:
        return DRAFT202012.create_resource(_undeclared(schema_files.schema_by_uri(uri)))
    except ValueError:
        raise NoSuchResource(uri) from None


def _undeclared(schema: dict[str, Any]) -> dict[str, Any]:
    """Without `$schema`: where that stands, jsonschema goes on with its own validator in place of ours."""
    return {keyword: value for keyword, value in schema.items() if keyword != "$schema"}


@lru_cache(maxsize=1_024)
def _accepts(keyword: str, value: str | float) -> Callable[[Any], bool]:
    """One keyword as the compiled engine judges it: regular expressions, formats and fractions have one judge."""
    return jsonschema_rs.Draft202012Validator({keyword: value}, validate_formats=True).is_valid


def _one_judge(keyword: str) -> Callable[..., Iterator[jsonschema.ValidationError]]:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
        if not _accepts(keyword, value)(instance):
            yield jsonschema.ValidationError(keyword)

    return check


def _matches(pattern: str, name: str) -> bool:
    return _accepts("pattern", pattern)(name)


def _descend(validator: Any, value: Any, subschema: Any, name: str) -> Iterator[Any]:
    if subschema is False:  # for which jsonschema forgets the path
        yield jsonschema.ValidationError("", validator="false", path=[name])
    else:
        yield from validator.descend(value, subschema, path=name)


def _properties(validator: Any, properties: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for name, subschema in properties.items():
            if name in instance:
                yield from _descend(validator, instance[name], subschema, name)


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for name in [name for name in instance if _matches(pattern, name)]:
                yield from _descend(validator, instance[name], subschema, name)


def _additional_properties(validator: Any, further: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for name in _further_names(instance, schema):
            if further is False:
                yield jsonschema.ValidationError("additionalProperties", path=[name])
            else:
                yield from validator.descend(instance[name], further, path=name)


def _further_names(instance: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    patterns = schema.get("patternProperties", {})
    named = schema.get("properties", {})
    return [name for name in instance if name not in named and not any(_matches(p, name) for p in patterns)]


def _property_names(validator: Any, subschema: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for name in instance:
            yield from validator.descend(name, subschema, path=name)


def _required(validator: Any, required: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        yield from (jsonschema.ValidationError("required", path=[name]) for name in required if name not in instance)


_SpellingValidator: Any = validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    {
        "pattern": _one_judge("pattern"),
        "format": _one_judge("format"),
        "multipleOf": _one_judge("multipleOf"),
        "properties": _properties,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "propertyNames": _property_names,
        "required": _required,
    },
)


# --- words ---------------------------------------------------------------------------------------------------------

_MISSING = "is missing; add it"
_UNKNOWN = "is not known here; remove it"
_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_FORMATS = {
    "date-time": "an RFC 3339 date-time with a zone, such as 2026-11-24T08:15:00Z",
    "date": "a date, such as 2026-11-24",
    "time": "a time with a zone, such as 08:15:00Z",
    "duration": "an ISO 8601 duration, such as PT15M",
    "email": "an e-mail address",
    "uri": "an absolute URI, such as https://example.org/a",
    "uri-reference": "a URI reference (RFC 3986)",
    "uuid": "a UUID",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "regex": "a regular expression (ECMA-262)",
}


def _worded(error: jsonschema.ValidationError) -> Iterator[_Found]:
    """The faults that one error of jsonschema stands for, with paths from the root of the document."""
    inner = _telling_branch(error)
    if inner:
        yield from (found for cause in inner for found in _worded(cause))
    else:
        yield _Found(tuple(error.absolute_path), _own_words(error) or _words(error))


def _own_words(error: jsonschema.ValidationError) -> str | None:
    """What the schema itself says of this keyword: `"x-fault": {"pattern": "must be ..."}`."""
    texts = error.schema.get("x-fault") if isinstance(error.schema, dict) else None
    text = texts.get(error.validator) if isinstance(texts, dict) else None
    return text if isinstance(text, str) else None


def _telling_branch(error: jsonschema.ValidationError) -> list[jsonschema.ValidationError]:
    """The errors of the one branch of anyOf or oneOf that the value was meant for, or nothing when that is unclear."""
    if error.validator not in ("anyOf", "oneOf") or _own_words(error):
        return []
    branches: dict[Any, list[jsonschema.ValidationError]] = {}
    for cause in error.context or ():
        branches.setdefault(cause.schema_path[0], []).append(cause)
    meant = [causes for causes in branches.values() if not any(_is_other_kind(cause) for cause in causes)]
    return meant[0] if len(meant) == 1 else []


def _is_other_kind(error: jsonschema.ValidationError) -> bool:
    return not error.path and error.validator in ("type", "const", "enum")


def _words(error: jsonschema.ValidationError) -> str:
    words = _WORDS.get(str(error.validator))
    return words(error.validator_value, error) if words else f"breaks the rule {error.validator!r} of its schema"


def _type(value: Any, error: jsonschema.ValidationError) -> str:
    return f"must be {_either([_TYPES.get(name, name) for name in ([value] if isinstance(value, str) else value)])}"


def _either(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"


def _shown(value: Any) -> str:
    """A value of the schema, never of the document, as JSON, shortened."""
    text = dumps_text(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _one_of(values: list[Any], error: jsonschema.ValidationError) -> str:
    shown = [_shown(value) for value in values[:20]]
    return f"must be {_either(shown)}" if len(values) <= 20 else f"must be one of {', '.join(shown)}, ..."


def _branches(branches: list[Any], error: jsonschema.ValidationError) -> str:
    if error.validator == "oneOf" and not error.context:
        return f"fits more than one of the {len(branches)} allowed forms; it must fit exactly one"
    types = [_TYPES[b["type"]] for b in branches if isinstance(b, dict) and b.get("type") in _TYPES]
    if len(types) == len(branches):
        return f"must be {_either(types)}"
    return f"fits none of the {len(branches)} allowed forms"


def _unknown_property(value: Any, error: jsonschema.ValidationError) -> str:
    name, known = str(error.path[-1]), list(error.schema.get("properties", {}))  # type: ignore[union-attr]
    close = get_close_matches(name[:100], known, n=1)
    if close:
        return f"is not known here; did you mean {close[0]!r}?"
    return f"{_UNKNOWN} (known: {', '.join(known)})" if known else _UNKNOWN


def _counted(amount: str, things: str) -> Callable[[Any, jsonschema.ValidationError], str]:
    return lambda value, error: f"must have {value} {amount} {things}"


_WORDS: dict[str, Callable[[Any, jsonschema.ValidationError], str]] = {
    "false": lambda value, error: "is not allowed here; remove it",
    "type": _type,
    "enum": _one_of,
    "const": lambda value, error: f"must be {_shown(value)}",
    "required": lambda value, error: _MISSING,
    "additionalProperties": _unknown_property,
    "unevaluatedProperties": lambda value, error: "has properties that are not known here; remove them",
    "unevaluatedItems": lambda value, error: "has more items than are known here; remove them",
    "minimum": lambda value, error: f"must be {value} or more",
    "maximum": lambda value, error: f"must be {value} or less",
    "exclusiveMinimum": lambda value, error: f"must be more than {value}",
    "exclusiveMaximum": lambda value, error: f"must be less than {value}",
    "multipleOf": lambda value, error: f"must be a multiple of {value}",
    "minLength": _counted("or more", "characters"),
    "maxLength": _counted("or fewer", "characters"),
    "minItems": _counted("or more", "items"),
    "maxItems": _counted("or fewer", "items"),
    "minProperties": _counted("or more", "properties"),
    "maxProperties": _counted("or fewer", "properties"),
    "uniqueItems": lambda value, error: "must not hold the same item twice",
    "pattern": lambda value, error: f"must match the pattern {value}",
    "format": lambda value, error: f"must be {_FORMATS.get(value, f'in the format {value}')}",
    "anyOf": _branches,
    "oneOf": _branches,
    "not": lambda value, error: "is of a form that is not allowed here",
    "contains": lambda value, error: "does not hold the items that it must hold",
    "dependentRequired": lambda value, error: "lacks a property that another one here needs",
}
