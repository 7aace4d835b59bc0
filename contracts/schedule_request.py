"""From a schedule request as sent, or as a task declares it, to what a store takes; every fault at its place."""

from collections.abc import Callable
from typing import Any

from contracts import validation
from contracts.errors import ContractViolation, Fault, Refused
from contracts.intake import Intake
from contracts.redaction import REDACTED
from contracts.schedule import PERSON, ScheduleSpec
from contracts.timing import timing_faults


def schedule_spec(document: Any, intake: Intake, declared_by: str = PERSON) -> ScheduleSpec:
    """A checked wish with its defaults filled in. Raises ContractViolation with every fault of frame, timing and template."""
    faults = validation.faults("schedule-request", document)
    if isinstance(document, dict):
        told = {fault.pointer for fault in faults}
        faults += [fault for fault in (*_timing(document), *_template(document.get("template"), intake)) if fault.pointer not in told]
    if faults:
        raise ContractViolation("The schedule request breaks its contract.", faults=faults)
    return spec_of(document, declared_by)


def spec_of(document: dict[str, Any], declared_by: str = PERSON) -> ScheduleSpec:
    """The spec of a document that has been checked."""
    return ScheduleSpec(
        template=document["template"],
        cron=document.get("cron"),
        every_seconds=document.get("every_seconds"),
        timezone=document.get("timezone", "UTC"),
        overlap=document.get("overlap", "skip"),
        misfires=document.get("misfires", "one"),
        paused=document.get("paused"),
        declared_by=declared_by,
    )


def _timing(document: dict[str, Any]) -> list[Fault]:
    cron, timezone = document.get("cron"), document.get("timezone", "UTC")
    return timing_faults(cron if isinstance(cron, str) and len(cron) <= 200 else None, timezone if isinstance(timezone, str) else "UTC")


def _template(template: Any, intake: Intake) -> list[Fault]:
    """What a submission of the template would be refused for; fields of another kind are the frame's affair."""
    if not isinstance(template, dict):
        return []
    checks: list[Callable[[], None]] = []
    kind, payload, queue, timeout = (template.get(name) for name in ("type", "payload", "queue", "timeout_seconds"))
    if isinstance(kind, str):
        checks.append(lambda: intake.check_payload(kind, payload if isinstance(payload, dict) else {}))
    if isinstance(queue, str):
        checks.append(lambda: intake.check_queue(queue))
    if isinstance(timeout, int | float):
        checks.append(lambda: intake.check_timeout(timeout))
    if isinstance(kind, str) and isinstance(payload, dict):
        checks.append(lambda: _check_no_mask(kind, payload, intake))
    found = [fault for check in checks for fault in _faults_of(check)]
    return found if isinstance(payload, dict) else [fault for fault in found if not fault.pointer.startswith("/template/payload")]


def _faults_of(check: Callable[[], None]) -> list[Fault]:
    try:
        check()
    except Refused as error:
        found = error.faults or (Fault("/type", error.message),)
        return [Fault(f"/template{fault.pointer}", fault.message) for fault in found]
    return []


def _check_no_mask(kind: str, payload: dict[str, Any], intake: Intake) -> None:
    """Whoever sends back what was shown would store the mask in place of the secret."""
    if kind in intake.catalogue and intake.catalogue.payload_schema(kind).has_secrets and _holds_mask(payload):
        raise ContractViolation(faults=[Fault("/payload", f"holds {REDACTED!r}, the mask of a secret; send the secret itself")])


def _holds_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_mask(part) for part in value.values())
    if isinstance(value, list):
        return any(_holds_mask(part) for part in value)
    return bool(value == REDACTED)
