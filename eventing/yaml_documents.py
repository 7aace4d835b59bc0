"""YAML read strictly, with errors that name the file, the place and what is allowed there."""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ConfigurationError


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_documents(path: Path) -> list[Any]:
    """Every document of a YAML file. Raises ConfigurationError for a file that is missing or no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
        return [document for document in yaml.load_all(text, _StrictLoader) if document is not None]
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path}: is no valid YAML: {error}") from None


class Place:
    """One value of a document and where it stands, so that every error names file and key."""

    def __init__(self, value: Any, file: Path | str, path: str = "") -> None:
        self.value = value
        self.file = file
        self.path = path

    def wrong(self, message: str) -> ConfigurationError:
        """An error about this place; `message` continues the sentence that the key begins."""
        return ConfigurationError(f"{self.file}: {self.path or 'the document'} {message}.")

    def fields(self, allowed: Iterable[str], required: Iterable[str] = ()) -> "Mapping[str, Place]":
        """The members of a mapping; any that is not allowed or is missing is an error."""
        allowed = tuple(allowed)
        if not isinstance(self.value, dict):
            raise self.wrong(f"is {self.value!r}; it takes a mapping with {', '.join(allowed)}")
        for name in self.value:
            if name not in allowed:
                raise self._member(name).wrong(f"is not known here; allowed are {', '.join(allowed)}")
        for name in required:
            if self.value.get(name) is None:
                raise self._member(name).wrong("is missing")
        return {name: self._member(name) for name, value in self.value.items() if value is not None}

    def _member(self, name: Any) -> "Place":
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return Place(value, self.file, f"{self.path}.{name}" if self.path else str(name))

    def items(self) -> "list[Place]":
        """The members of a list."""
        if not isinstance(self.value, list):
            raise self.wrong(f"is {self.value!r}; it takes a list")
        return [Place(value, self.file, f"{self.path}[{index}]") for index, value in enumerate(self.value)]

    def text(self) -> str:
        """A non-empty string."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(f"is {self.value!r}; it takes text, in quotes where YAML would read something else")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong(f"is {self.value!r}; it takes true or false")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.wrong(f"is {self.value!r}; it takes a whole number from {low} to {high}")
        return self.value
