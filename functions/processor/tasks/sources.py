"""Which files the tasks of this process were made from, as far as somebody may edit them."""

import sys
import sysconfig
import traceback
from pathlib import Path

from functions.processor.tasks.registry import SCHEMA_FILES

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OURS = ("contracts", "eventing", "functions", "observability")  # changing these takes a new start
_TASKS = "functions.processor.tasks."
_API = frozenset(_TASKS + name for name in ("annotations", "collect", "context", "foreground", "registry", "schedules", "settings", "sources"))


def sources(error: BaseException | None = None) -> list[str]:
    """Task modules, what they import outside of installed packages, and schema files; with `error` also where it happened."""
    found = {file for name, module in list(sys.modules.items()) if (file := getattr(module, "__file__", None)) and _is_editable(name, file)}
    found |= SCHEMA_FILES
    while error is not None:
        found |= {frame.filename for frame in traceback.extract_tb(error.__traceback__) if _is_editable("", frame.filename)}
        if isinstance(error, SyntaxError) and error.filename is not None:
            found.add(error.filename)
        error = error.__cause__
    return sorted(found)


def _is_editable(module: str, file: str) -> bool:
    if not file.endswith(".py") or file.startswith(_INSTALLED) or not Path(file).is_absolute():
        return False
    if module.partition(".")[0] in _OURS:
        return module.startswith(_TASKS) and module not in _API
    return module != "__main__"
