"""Tasks that declare schedules."""

from datetime import timedelta
from typing import Any

from functions.processor.tasks import task

SECRETIVE = {
    "type": "object",
    "required": ["token"],
    "properties": {"token": {"type": "string", "x-secret": True}, "days": {"type": "integer"}},
    "additionalProperties": False,
}


@task("scheduled.often", every=timedelta(seconds=1))
def often(payload: dict[str, Any]) -> str:
    """Comes each second."""
    return "here"


@task("scheduled.secret", schema=SECRETIVE, cron="30 2 * * *", timezone="Europe/Berlin", scheduled_payload={"token": "s3cr3t"})
def secret(payload: dict[str, Any]) -> dict[str, int]:
    """Counts the characters of its secret."""
    return {"characters": len(payload["token"])}
