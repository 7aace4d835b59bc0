"""From a schedule request as sent, or as a task declares it, to what a store takes; every fault at its place."""

from typing import Any

from contracts import validation
from contracts.errors import ContractViolation, Fault, Refused
from contracts.intake import Intake
from contracts.redaction import REDACTED
from contracts.schedule import PERSON, ScheduleSpec
from contracts.timing import timing_faults


def schedule_spec(document: Any, intake: Intake, now: int, declared_by: str = PERSON) -> ScheduleSpec:
    """A checked wish with its defaults filled in. Raises ContractViolation with every fault of frame, timing and template."""
    faults = validation.faults("schedule-request", document)
    if isinstance(document, dict):
        told = {fault.pointer for fault in faults}
        faults += [fault for fault in _timing(document) if fault.pointer not in told]
        template = document.get("template")
        if not any(pointer == "" or pointer.startswith("/template") for pointer in told) or _has_payload(template):
            faults += [fault for fault in template_faults(template, intake, now) if fault.pointer not in told]
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


def _has_payload(template: Any) -> bool:
    return isinstance(template, dict) and isinstance(template.get("type"), str) and isinstance(template.get("payload"), dict)


def template_faults(template: Any, intake: Intake, now: int) -> list[Fault]:
    """What a submission of the template would be refused for, below `/template`."""
    if not _has_payload(template):
        return []
    try:
        intake.request({name: template[name] for name in ("type", "payload", "queue", "timeout_seconds") if name in template}, now)
    except Refused as error:
        found = error.faults or (Fault("/type", error.message),)
        return [Fault(f"/template{fault.pointer}", fault.message) for fault in found]
    except TypeError:  # a field of another kind: the frame's faults say so
        return []
    return _shown_form(template, intake)


def _shown_form(template: dict[str, Any], intake: Intake) -> list[Fault]:
    """Whoever sends back what was shown would store the mask in place of the secret."""
    schema = intake.catalogue.payload_schema(template["type"])
    if schema.has_secrets and _holds_mask(template["payload"]):
        return [Fault("/template/payload", f"holds {REDACTED!r}, the mask of a secret; send the secret itself")]
    return []


def _holds_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_mask(part) for part in value.values())
    if isinstance(value, list):
        return any(_holds_mask(part) for part in value)
    return bool(value == REDACTED)
