"""The user's file: named contexts and saved filters, as JSON. (Keys lie beside it, each in a file of its own.)"""

import json
import os
from pathlib import Path
from typing import Any

from console import environment
from contracts.errors import ConfigurationError


def file() -> Path:
    """`console.json` in the user's configuration folder."""
    return environment.configuration_folder() / "console.json"


def load() -> dict[str, Any]:
    """What the file holds; empty when there is none. Raises ConfigurationError for a file that cannot be understood."""
    try:
        found = json.loads(file().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{file()} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{file()} is no JSON ({error}); mend it or remove it") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file()} holds no JSON object; mend it or remove it")
    return found


def save(document: dict[str, Any]) -> None:
    """Writes the file whole or not at all. Raises ConfigurationError when that cannot be done."""
    write_private(file(), json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replaces a file, readable by its owner alone. Raises ConfigurationError."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None
