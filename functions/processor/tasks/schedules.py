"""The schedule that a task declares with itself, as the schedule request that a person would send."""

from datetime import timedelta
from typing import Any

from contracts.catalogue import Catalogue, TaskDefinition
from contracts.errors import ConfigurationError, ContractViolation


def declared_schedule(
    where: str, task_type: str, *, cron: str | None, timezone: str, every: float | timedelta | None, payload: dict[str, Any] | None,
    overlap: str, misfires: str,
) -> dict[str, Any] | None:  # fmt: skip
    """The request, or None when nothing is declared. Raises ConfigurationError."""
    if cron is None and every is None:
        if payload is not None:
            raise ConfigurationError(f"{where}: scheduled_payload needs cron or every")
        return None
    if cron is not None and every is not None:
        raise ConfigurationError(f"{where}: give cron or every, not both")
    request = {
        **({"cron": cron, "timezone": timezone} if cron is not None else {"every_seconds": _seconds(every)}),
        "template": {"type": task_type, "payload": payload if payload is not None else {}},
        "overlap": overlap,
        "misfires": misfires,
    }
    _check(where, request)
    return request


def _seconds(every: float | timedelta | None) -> Any:
    return every.total_seconds() if isinstance(every, timedelta) else every


def _check(where: str, request: dict[str, Any]) -> None:
    from contracts import validation
    from contracts.timing import timing_faults

    faults = validation.faults("schedule-request", request)
    if not faults and "cron" in request:
        faults = timing_faults(request["cron"], request["timezone"])
    if faults:
        words = "; ".join(f"{fault.pointer.lstrip('/').replace('every_seconds', 'every') or 'the schedule'} {fault.message}" for fault in faults)
        raise ConfigurationError(f"{where}: {words}")


def check_scheduled_payload(catalogue: Catalogue, definition: TaskDefinition) -> None:
    """Raises ConfigurationError when a task's schedule would submit what its own schema refuses."""
    if definition.schedule is None:
        return
    try:
        catalogue.payload_schema(definition.type).check(definition.schedule["template"]["payload"])
    except ContractViolation as error:
        words = "; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in error.faults)
        raise ConfigurationError(f"its schedule submits a payload that breaks its schema ({words}); give scheduled_payload") from None
