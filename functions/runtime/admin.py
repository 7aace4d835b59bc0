"""The few things that the command line does with the code or the stores themselves, without a server."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from functions.processor.tasks.collect import collect
from functions.processor.tasks.foreground import run_once


def _own_folder_first() -> None:
    """A user's task module stands in the folder where the command is given."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def task_definition(task_type: str, modules: Sequence[str]) -> dict[str, Any]:
    """The public half of a task, as in the catalogue. Raises UnknownTaskType, ConfigurationError."""
    _own_folder_first()
    return collect(modules).get(task_type).as_json()


def run_task(
    task_type: str, payload: Any, modules: Sequence[str], on_progress: Callable[[float | None, str | None], None]
) -> dict[str, Any]:
    """Runs one handler in this process: ``{"kind", "result", "error", "after_seconds", "ran_seconds"}``.

    Raises UnknownTaskType, ContractViolation for the payload, ConfigurationError for a module.
    """
    _own_folder_first()
    outcome = run_once(task_type, payload, modules, on_progress=on_progress)
    return {
        "kind": outcome.kind,
        "result": outcome.result,
        "error": outcome.error,
        "after_seconds": outcome.after_seconds,
        "ran_seconds": outcome.ran_micros / 1_000_000,
    }


def known_settings() -> frozenset[str]:
    """Every variable that the functions read."""
    from dataclasses import fields

    from functions.runtime.settings import Settings

    return frozenset(f"OBSERVATORY_{field.name.upper()}" for field in fields(Settings))


def check_settings() -> None:
    """Raises ConfigurationError for what `make run` would not start with."""
    _settings(None)


def count_tasks(modules: Sequence[str]) -> int:
    """How many task types there are with these modules; what they print goes to standard error. Raises ConfigurationError."""
    import contextlib

    _own_folder_first()
    with contextlib.redirect_stdout(sys.stderr):
        return len(collect(modules))


def check_log(data: str | None, progress: Callable[[str, int, int], None], found: Callable[[Any], None]) -> dict[str, Any]:
    """Folds the log of a data folder and names every difference. Raises ConfigurationError, StoreUnavailable."""
    from functions.runtime import rebuild

    return rebuild.check(_settings(data), progress, found)


def mend_from_log(data: str | None, progress: Callable[[str, int, int], None], *, table: bool) -> dict[str, Any]:
    """Mends statistics, and with `table` jobs, attempts, schedules and counts. Raises DataFolderInUse while the system runs."""
    from functions.runtime import rebuild

    return rebuild.apply(_settings(data), progress, table=table)


def _settings(data: str | None) -> Any:
    from dataclasses import replace

    from functions.runtime import settings

    found = settings.load()
    return replace(found, data=data) if data else found
