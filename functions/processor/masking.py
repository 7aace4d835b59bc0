"""Masks what a handler says of its payload's secrets: a secret that it prints, raises or returns is one no more."""

import json
from collections.abc import Mapping
from typing import Any

from contracts.catalogue import Catalogue
from contracts.redaction import REDACTED, has_secrets, secrets_of

LEAST = 4  # characters: shorter ones would leave no text whole
LEAST_WITHIN_RESULT = 8


class Mask:
    """The secrets of one payload. Of text every occurrence goes, also as JSON or Python would write it; of a result every
    value that is a secret, and every occurrence of a long one."""

    def __init__(self, secrets: list[Any]) -> None:
        texts = {secret: secret if isinstance(secret, str) else json.dumps(secret) for secret in secrets}
        self._values = {secret for secret, text in texts.items() if len(text) >= LEAST}
        self._texts = _spelt(text for text in texts.values() if len(text) >= LEAST)
        self._long = _spelt(text for text in texts.values() if len(text) >= LEAST_WITHIN_RESULT)

    def text(self, text: str | None) -> str | None:
        return text if text is None else _without(text, self._texts)

    def error(self, error: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if error is None else {name: self.text(words) for name, words in error.items()}

    def result(self, value: Any) -> Any:
        """A JSON value."""
        if isinstance(value, dict):
            return {_without(name, self._long): self.result(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.result(part) for part in value]
        if value is None or isinstance(value, bool):
            return value
        if value in self._values:
            return REDACTED
        return _without(value, self._long) if isinstance(value, str) else value


def _spelt(texts: Any) -> list[str]:
    """Each text with the ways in which programs print it, the longest first."""
    spelt = {way for text in texts for way in (text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])}
    return sorted(spelt, key=len, reverse=True)


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


class Masker:
    """Knows the secrets of every task type of a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._schemas = {task.type: task.schema for task in catalogue.definitions() if has_secrets(task.schema)}

    def of(self, task_type: str, payload: Any) -> Mask | None:
        """None for a payload without secrets."""
        schema = self._schemas.get(task_type)
        secrets = secrets_of(schema, payload) if schema is not None else []
        return Mask(secrets) if secrets else None
