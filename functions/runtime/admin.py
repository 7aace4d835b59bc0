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
    """Folds the log and names every difference; of the data folder `data`, else of the settings' stores. Raises ConfigurationError, StoreUnavailable."""
    from functions.runtime import rebuild

    return rebuild.check(_settings(data), progress, found)


def mend_from_log(data: str | None, progress: Callable[[str, int, int], None], *, table: bool) -> dict[str, Any]:
    """Mends statistics, and with `table` jobs, attempts, schedules and counts. Raises DataFolderInUse while the system runs."""
    from functions.runtime import rebuild

    return rebuild.apply(_settings(data), progress, table=table)


def carry_over(data: str | None, progress: Callable[[str, int, int], None], *, dry_run: bool) -> dict[str, Any]:
    """Carries a data folder over into the PostgreSQL of the settings, or says what that would do. Raises ConfigurationError, StoreUnavailable."""
    import asyncio
    from dataclasses import replace

    from functions.runtime import at_rest

    return asyncio.run(at_rest.carry_over(replace(_settings(None), **({"data": data} if data else {})), progress, dry_run=dry_run))


async def submit_within(
    connection: Any, document: dict[str, Any], key: str | None, tasks: Sequence[dict[str, Any]], queues: Sequence[str], traceparent: str | None
) -> Any:
    """Stores a job request within the transaction of a caller's psycopg connection: the answer of JobStore's `submit`.

    `tasks` is the catalogue. Raises a Refused, ConfigurationError, and psycopg.Error as the caller's own statements do.
    """
    from contracts import validation
    from contracts.catalogue import Catalogue, TaskDefinition
    from contracts.intake import Intake, fingerprint
    from contracts.trace import traceparent_of
    from functions.stores.backends.postgres_callers_transaction import submit_within
    from functions.stores.clock import wall_clock

    validation.validate_job_request(document)
    intake = Intake(Catalogue(TaskDefinition.from_json(task | {"schedule": None}) for task in tasks), queues)
    request = intake.request(document, wall_clock())
    request.actor, request.traceparent = f"database:{connection.info.user}", traceparent_of(traceparent)
    if key is not None:
        request.keys, request.fingerprint = (f"key:{key}",), fingerprint(document)
    return (await submit_within(connection, [request], validation.validate_event))[0]


def submit_at_once_within(*given: Any) -> Any:
    """As submit_within, over a sync connection."""
    from functions.stores.backends.postgres_callers_transaction import at_once

    return at_once(submit_within(*given))


def _settings(data: str | None) -> Any:
    from dataclasses import replace

    from functions.runtime import settings

    found = settings.load()
    return replace(found, data=data, postgres_url="") if data else found
