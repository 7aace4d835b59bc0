"""Tasks for demonstrations and measurements."""

import os
import signal
import time
from typing import Any

from functions.processor.tasks import Permanent, TaskContext, task


@task("demo.noop", schema="demo-noop.v1.json", queue="default", timeout_seconds=10)
def noop(payload: dict[str, Any]) -> Any:
    """Does nothing and answers what it was given to echo."""
    return payload.get("echo")


@task("demo.sleep", schema="demo-sleep.v1.json", timeout_seconds=3700)
def sleep(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Sleeps for some seconds and says how far it is."""
    seconds, steps = float(payload["seconds"]), int(payload.get("steps", 10))
    start = time.monotonic()
    for step in range(steps):
        _sleep_until(start + seconds * (step + 1) / steps, context)
        context.progress((step + 1) / steps, f"step {step + 1} of {steps}")
    return {"slept_seconds": round(time.monotonic() - start, 3)}


def _sleep_until(moment: float, context: TaskContext) -> None:
    while (rest := moment - time.monotonic()) > 0:
        context.check_cancelled()
        time.sleep(min(rest, 0.1))


@task("demo.fail", schema="demo-fail.v1.json", timeout_seconds=10)
def fail(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Fails a number of times, then succeeds."""
    if context.attempt <= int(payload["times"]):
        message = payload.get("message", f"failing as asked, attempt {context.attempt}")
        print(message)
        if payload.get("kill_worker"):
            os.kill(os.getpid(), signal.SIGKILL)
        if payload.get("permanent"):
            raise Permanent(message)
        raise RuntimeError(message)
    return {"succeeded_in_attempt": context.attempt}


@task("demo.unheard", schema="demo-unheard.v1.json", timeout_seconds=10)
def unheard(payload: dict[str, Any]) -> str | None:
    """Succeeds, but its success goes to a subscriber that is not there, and so becomes a dead letter."""
    return payload.get("note")
