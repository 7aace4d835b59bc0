"""Holds answers against the OpenAPI document: no status, content type, header or field that it does not tell of."""

import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

import jsonschema_rs

from functions.runtime import openapi

Document = dict[str, Any]
ELSEWHERE = {400, 401, 403, 404, 405, 431}  # what is answered where no operation is


class Description:
    """The document, with what it takes to hold answers against it. Fields that it does not name are faults, too."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @cached_property
    def operations(self) -> dict[tuple[str, str], Document]:
        """(method, path) -> operation."""
        return {(method.upper(), path): found for path, methods in self.document["paths"].items() for method, found in methods.items()}

    @cached_property
    def _paths(self) -> list[tuple[str, re.Pattern[str]]]:
        """Paths with their patterns; those without segments first."""
        paths = sorted(self.document["paths"], key=lambda path: ("{" in path, path))
        return [(path, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))) for path in paths]

    @cached_property
    def _closed(self) -> Document:
        """The schemas, each closed to fields that it does not name, unless others build on it."""
        schemas: Document = json.loads(json.dumps(self.document["components"]["schemas"]))
        built_on = {part["$ref"] for part in _parts(schemas) if "$ref" in part and "properties" in part}
        for name, schema in schemas.items():
            for part in _parts(schema):
                is_base = part is schema and f"#/components/schemas/{name}" in built_on
                if "properties" in part and not is_base and "additionalProperties" not in part:
                    part["unevaluatedProperties"] = False
        return schemas

    def path_of(self, address: str) -> str | None:
        """The path of the document that an address (without its query) belongs to."""
        return next((path for path, pattern in self._paths if pattern.fullmatch(address)), None)

    def faults(self, method: str, address: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """What of an answer is not in the document; header names in lower case."""
        path = self.path_of(address.partition("?")[0])
        operation = self.operations.get(("GET" if method == "HEAD" else method, path or ""))
        if operation is None:
            return [] if status in ELSEWHERE or method == "OPTIONS" else [f"status {status} where there is no operation"]
        response = operation["responses"].get(str(status))
        if response is None:
            return [f"status {status}; it tells of {', '.join(operation['responses'])}"]
        missing = [f"no header {name}" for name, held in response.get("headers", {}).items() if held.get("required") and name not in headers]
        return missing + self._body_faults(method, response, headers.get("content-type", ""), body)

    def _body_faults(self, method: str, response: Document, content_type: str, body: bytes) -> list[str]:
        content = response.get("content")
        if content is None:
            return ["a body"] if body else []
        kind = content_type.partition(";")[0]
        if kind not in content:
            return [f"content type {kind!r}; it tells of {', '.join(content)}"]
        if method == "HEAD" or not kind.endswith("json"):
            return []
        return [f"/{'/'.join(map(str, error.instance_path))}: {error.message}" for error in self._validator(content[kind]).iter_errors(json.loads(body))]

    def _validator(self, media: Document) -> jsonschema_rs.Draft202012Validator:
        key = json.dumps(media["schema"])
        if key not in self._validators:
            schema = {**media["schema"], "components": {"schemas": self._closed}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        return self._validators[key]


def _parts(value: Any) -> list[Document]:
    """Every object within a value, itself among them."""
    if isinstance(value, list):
        return [part for item in value for part in _parts(item)]
    return [value, *(part for item in value.values() for part in _parts(item))] if isinstance(value, dict) else []


@cache
def description() -> Description:
    """Of the whole API, as the code has it."""
    return Description(openapi.document())


def check_answer(method: str, address: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises AssertionError for an answer that the document does not tell of."""
    faults = description().faults(method, address, status, headers, body)
    assert not faults, f"{method} {address[:200]} answered {status} with what /openapi.json does not tell of: {'; '.join(faults)[:2_000]}\n{body[:500]!r}"
