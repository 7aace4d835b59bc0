"""Handlers that tell which trace they are part of, and make jobs of their own."""

import os
from typing import Any

from console.client import Client
from functions.processor.tasks import TaskContext, task


@task("trace.told")
def told(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """What the handler sees, and what a program that it started would see."""
    return {"context": context.traceparent, "environment": os.environ["TRACEPARENT"]}


@task("trace.spawning")
def spawning(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Submits another job by the client, and names no trace."""
    with Client(payload["url"]) as client:
        return {"context": context.traceparent, "child": client.submit("trace.told").id}
