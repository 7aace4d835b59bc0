"""Payload schemas from annotations: a dataclass or TypedDict says what a payload looks like.

Taken: dataclasses and TypedDicts (nested too), str, int, float, bool, None, Any, list, dict, Optional and other unions,
Literal, Enum, and `Annotated[T, "a description", {"minimum": 0}]`, whose texts become descriptions and whose dicts are
further JSON Schema keywords (`{"x-secret": True}` hides a field).
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from contracts.errors import ConfigurationError

Convert = Callable[[Any], Any]
_PLAIN = {str: "string", bool: "boolean", type(None): "null"}


class Shape(NamedTuple):
    """A JSON Schema and, where the JSON value is not yet what the annotation says, the function that makes it."""

    schema: dict[str, Any]
    convert: Convert | None


def shape_of_payload(annotation: Any, where: str) -> Shape:
    """The shape of a payload parameter. Raises ConfigurationError for what is no object, and for unknown annotations."""
    if annotation in (dict, Mapping, Any) or (get_origin(annotation) is dict and get_args(annotation) == (str, Any)):
        return Shape({"type": "object"}, None)
    shape = shape_of(annotation, where)
    if shape.schema.get("type") != "object":
        raise ConfigurationError(
            f"{where} is annotated {_name(annotation)}, but a payload is a JSON object: use a dataclass, a TypedDict or dict"
        )
    return shape


def shape_of(annotation: Any, where: str, seen: tuple[type, ...] = ()) -> Shape:
    """The shape of any annotation; `where` names it in errors, `seen` are the classes that it stands in."""
    if annotation is Any:
        return Shape({}, None)
    if annotation in (None, types.NoneType):
        return Shape({"type": "null"}, None)
    if annotation is int:
        return Shape({"type": "integer"}, int)
    if annotation is float:
        return Shape({"type": "number"}, float)
    if isinstance(annotation, type) and annotation in _PLAIN:  # others need not be hashable
        return Shape({"type": _PLAIN[annotation]}, None)
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or typing.is_typeddict(annotation)):
        return _object(annotation, where, seen)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Shape({"enum": [member.value for member in annotation]}, annotation)
    return _generic(annotation, where, seen)


def _generic(annotation: Any, where: str, seen: tuple[type, ...]) -> Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(arguments[0], arguments[1:], where, seen)
    if origin in (Union, types.UnionType):
        return _union(arguments, where, seen)
    if origin is Literal:
        return Shape({"enum": list(arguments)}, None)
    if annotation is list or origin in (list, Sequence):
        return _list(shape_of(arguments[0], where, seen) if arguments else Shape({}, None))
    if annotation in (dict, Mapping) or origin in (dict, Mapping):
        return _dict(arguments, where, seen)
    raise ConfigurationError(
        f"{where} is annotated {_name(annotation)}, which has no JSON form here; use str, int, float, bool, None, Any, list, "
        "dict, Optional, Literal, an Enum, a dataclass or a TypedDict, or give @task a schema"
    )


def _annotated(inner: Any, notes: tuple[Any, ...], where: str, seen: tuple[type, ...]) -> Shape:
    shape = shape_of(inner, where, seen)
    schema = dict(shape.schema)
    for note in notes:
        if isinstance(note, str):
            schema["description"] = note
        elif isinstance(note, dict):
            schema.update(note)
    return Shape(schema, shape.convert)


def _union(members: tuple[Any, ...], where: str, seen: tuple[type, ...]) -> Shape:
    real = [member for member in members if member not in (None, types.NoneType)]
    optional = len(real) < len(members)
    shapes = [shape_of(member, where, seen) for member in real]
    if len(shapes) == 1:
        return _nullable(shapes[0]) if optional else shapes[0]
    if any(_makes_objects(member) for member in real):
        raise ConfigurationError(
            f"{where} is a union of several types with a dataclass or an Enum among them; which one is meant cannot be told "
            "from JSON. Use one of them, or dict"
        )
    schemas = [shape.schema for shape in shapes] + ([{"type": "null"}] if optional else [])
    return Shape({"anyOf": schemas}, None)


def _makes_objects(member: Any) -> bool:
    while get_origin(member) is typing.Annotated:
        member = get_args(member)[0]
    return isinstance(member, type) and (dataclasses.is_dataclass(member) or issubclass(member, Enum))


def _nullable(shape: Shape) -> Shape:
    schema, convert = dict(shape.schema), shape.convert
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    elif "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    elif schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if convert is None:
        return Shape(schema, None)
    return Shape(schema, lambda value: None if value is None else convert(value))


def _list(item: Shape) -> Shape:
    schema: dict[str, Any] = {"type": "array"}
    if item.schema:
        schema["items"] = item.schema
    convert = item.convert
    return Shape(schema, None if convert is None else lambda values: [convert(value) for value in values])


def _dict(arguments: tuple[Any, ...], where: str, seen: tuple[type, ...]) -> Shape:
    if not arguments:
        return Shape({"type": "object"}, None)
    if arguments[0] is not str:
        raise ConfigurationError(f"{where} is a dict with keys of {_name(arguments[0])}; keys of JSON objects are str")
    item = shape_of(arguments[1], where, seen)
    schema: dict[str, Any] = {"type": "object"}
    if item.schema:
        schema["additionalProperties"] = item.schema
    convert = item.convert
    if convert is None:
        return Shape(schema, None)
    return Shape(schema, lambda values: {key: convert(value) for key, value in values.items()})


def _object(cls: Any, where: str, seen: tuple[type, ...]) -> Shape:
    if cls in seen:
        raise ConfigurationError(f"{where}: {cls.__name__} contains itself; give @task a schema for payloads without a depth")
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{where}: the annotations of {cls.__name__} cannot be read: {error}") from None
    is_dataclass = dataclasses.is_dataclass(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init} if is_dataclass else {}
    names = list(fields) if is_dataclass else list(hints)
    inside = (*seen, cls)
    shapes = {name: _member(hints[name], f"{where}, field {name!r}", inside) for name in names}
    properties = {name: _property(shapes[name].schema, fields.get(name)) for name in names}
    required = [n for n in names if (n in cls.__required_keys__ if not is_dataclass else _is_required(fields[n]))]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    converts = {name: shape.convert for name, shape in shapes.items() if shape.convert is not None}
    return Shape(schema, _maker(cls if is_dataclass else dict, converts))


def _member(annotation: Any, where: str, seen: tuple[type, ...]) -> Shape:
    while get_origin(annotation) in (typing.Required, typing.NotRequired):
        (annotation,) = get_args(annotation)
    return shape_of(annotation, where, seen)


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _property(schema: dict[str, Any], field: "dataclasses.Field[Any] | None") -> dict[str, Any]:
    if field is None:
        return schema
    schema = dict(schema)
    if isinstance(description := field.metadata.get("description"), str):
        schema["description"] = description
    default = field.default
    if default is not dataclasses.MISSING:
        default = default.value if isinstance(default, Enum) else default
        if default is None or isinstance(default, (str, int, float, bool)):
            schema["default"] = default
    return schema


def _maker(cls: Callable[..., Any], converts: dict[str, Convert]) -> Convert:
    def make(values: Any) -> Any:
        values = dict(values)
        for name, convert in converts.items():
            if name in values:
                values[name] = convert(values[name])
        return cls(**values)

    return make


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
