"""Saved filters of the terminal console: name -> query, in the user's file. A file that cannot be used is left as it is."""

import contextlib

from console import configuration
from contracts.errors import ConfigurationError


def kept() -> dict[str, str]:
    """Every saved filter."""
    with contextlib.suppress(ConfigurationError):
        found = configuration.load().get("filters", {})
        if isinstance(found, dict):
            return {name: query for name, query in found.items() if isinstance(query, str)}
    return {}


def keep(filters: dict[str, str]) -> None:
    """Saves filters beside the contexts; a file that cannot be read or written is no reason to stop."""
    with contextlib.suppress(ConfigurationError):
        configuration.save({**configuration.load(), "filters": filters})
