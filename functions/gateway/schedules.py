"""Gateway: a person's wishes for schedules."""

import hashlib
from typing import Any

from contracts.errors import ContractViolation, Fault
from contracts.intake import Intake
from contracts.job import JobRequest
from contracts.schedule import Schedule
from contracts.schedule_request import schedule_spec
from functions.stores.job_store import JobStore, Submitted

NAME = "1 to 100 of a-z, 0-9, '.', '_' and '-', the first a letter or digit"


def checked_name(name: str) -> str:
    """A name that a schedule may have. Raises ContractViolation."""
    from contracts import validation

    if validation.faults({"$ref": "urn:observatory:schema:common:v1#/$defs/scheduleName"}, name):
        raise ContractViolation(f"a schedule's name takes {NAME}", faults=[Fault("/name", f"must be {NAME}")])
    return name


class Schedules:
    """Checks what is asked of schedules and commits it; `intake` reads their templates."""

    def __init__(self, store: JobStore, intake: Intake) -> None:
        self._store, self._intake = store, intake

    async def put(self, name: str, document: Any, actor: str) -> tuple[Schedule, str]:
        """The schedule as wished, and `created`, `updated` or `unchanged`. Raises ContractViolation with every fault, Conflict."""
        spec = schedule_spec(document, self._intake)
        return await self._store.put_schedule(checked_name(name), spec, actor)

    async def delete(self, name: str, actor: str, reason: str | None) -> None:
        await self._store.delete_schedule(name, actor, reason)

    async def pause(self, name: str, paused: bool, actor: str, reason: str | None) -> Schedule:
        return await self._store.pause_schedule(name, paused, actor, reason)

    async def run(self, name: str, actor: str, idempotency_key: str | None, traceparent: str | None = None) -> Submitted:
        """A firing now. The same key is the same run."""
        keys = () if idempotency_key is None else (f"key:{idempotency_key}",)
        fingerprint = hashlib.sha256(f"run schedule {name}".encode()).digest() if keys else b""
        return await self._store.run_schedule(name, self._resolve, actor, keys, fingerprint, traceparent)

    def _resolve(self, template: dict[str, Any]) -> JobRequest:
        return self._intake.template(template, self._store.now())
