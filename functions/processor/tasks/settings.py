"""The settings of the built-in tasks. Workers get them by environment; this is the one place here that reads it.

OBSERVATORY_FILES_ROOTS   folders below which file tasks may read, separated as in PATH (on Linux by ':'). Default: the
                          folder in which the system was started, and Python's standard library.
OBSERVATORY_HTTP_ALLOW    hosts that http.call may reach: `host` (any port) or `host:port`, separated by commas.
                          Default: none.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

STARTED_IN = Path.cwd()  # a handler may change the folder of its process


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """`files_roots`: folders with their links resolved; `http_allow`: hosts in lower case, with or without a port."""

    files_roots: tuple[Path, ...]
    http_allow: frozenset[str]


def task_settings() -> TaskSettings:
    """What the environment says now."""
    return _parse(os.environ.get("OBSERVATORY_FILES_ROOTS"), os.environ.get("OBSERVATORY_HTTP_ALLOW"))


@lru_cache(maxsize=8)
def _parse(roots: str | None, allow: str | None) -> TaskSettings:
    folders = [STARTED_IN, Path(os.__file__).parent] if roots is None else map(Path, filter(None, roots.split(os.pathsep)))
    hosts = (host.strip().lower() for host in (allow or "").split(","))
    return TaskSettings(
        files_roots=tuple((STARTED_IN / folder).resolve() for folder in folders), http_allow=frozenset(host for host in hosts if host)
    )
