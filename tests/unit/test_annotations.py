"""Payload schemas from annotations: what stands in the README."""

from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired, TypedDict

from functions.processor.tasks.annotations import shape_of_payload


@dataclass
class Login:
    name: Annotated[str, "who", {"minLength": 1}]
    token: Annotated[str, {"x-secret": True}] = "none"
    limits: Annotated[dict[str, int] | None, {"minProperties": 1}] = None
    tags: list[Annotated[str, {"maxLength": 9}]] = field(default_factory=list)


class Options(TypedDict):
    depth: NotRequired[Annotated[int, {"minimum": 0}]]


def test_keywords_of_json_schema_stand_beside_a_type() -> None:
    shape = shape_of_payload(Login, "here")
    properties: dict[str, Any] = shape.schema["properties"]
    assert properties["name"] == {"type": "string", "description": "who", "minLength": 1}
    assert properties["token"] == {"type": "string", "x-secret": True, "default": "none"}
    assert properties["limits"]["minProperties"] == 1 and properties["tags"]["items"] == {"type": "string", "maxLength": 9}
    assert shape.convert is not None and shape.convert({"name": "ada"}) == Login("ada")


def test_a_typed_dict_takes_them_too() -> None:
    assert shape_of_payload(Options, "here").schema["properties"] == {"depth": {"type": "integer", "minimum": 0}}
