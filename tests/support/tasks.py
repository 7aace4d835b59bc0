"""Tasks of the kill tests: each writes what it did into the handlers' ledger that OBSERVATORY_TEST_LEDGER names.

`times` says in how many attempts (or claims) a handler misbehaves before it does its work.
"""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from functions.processor.tasks import Permanent, RetryPolicy, Snooze, TaskContext, task
from tests.support.ledger import note

SOON = RetryPolicy(max_attempts=60, initial_seconds=0.02, factor=1.5, maximum_seconds=0.3)


def write_down(fact: str, context: TaskContext, **more: Any) -> None:
    """A line in the handlers' ledger."""
    path = os.environ.get("OBSERVATORY_TEST_LEDGER")
    if path:
        note(Path(path), fact=fact, job=context.job_id, token=context.lease_token, attempt=context.attempt, pid=os.getpid(), **more)


def done(context: TaskContext) -> dict[str, int]:
    write_down("end", context)
    return {"token": context.lease_token}


@task("test.note", timeout_seconds=10, retry=SOON)
def quick(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Only writes down that it ran."""
    write_down("begin", context)
    return done(context)


@task("test.sleep", timeout_seconds=10, retry=SOON)
def sleep(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Sleeps for `seconds`, and says how far it is."""
    write_down("begin", context)
    for step in range(4):
        time.sleep(payload["seconds"] / 4)
        context.progress((step + 1) / 4)
    return done(context)


@task("test.fail", timeout_seconds=10, retry=SOON)
def fail(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Raises in its first attempts."""
    write_down("begin", context)
    if context.attempt <= payload["times"]:
        raise RuntimeError(f"failing as asked, attempt {context.attempt}")
    return done(context)


@task("test.permanent", timeout_seconds=10, retry=SOON)
def permanent(payload: dict[str, Any], context: TaskContext) -> None:
    """Fails for good."""
    write_down("begin", context)
    raise Permanent("as asked")


@task("test.snooze", timeout_seconds=10, retry=SOON)
def snooze(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Gives its first claims back."""
    write_down("begin", context)
    if context.lease_token <= payload["times"]:
        raise Snooze(payload.get("seconds", 0.05))
    return done(context)


@task("test.die", timeout_seconds=10, retry=SOON)
def die(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Takes its worker process down in its first attempts."""
    write_down("begin", context)
    if context.attempt <= payload["times"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return done(context)


@task("test.spin", timeout_seconds=0.3, retry=SOON)
def spin(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """A Python loop without end in its first attempts."""
    write_down("begin", context)
    while context.attempt <= payload["times"]:
        pass
    return done(context)


@task("test.match", timeout_seconds=0.3, retry=SOON)
def match(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """A regular expression that backtracks for longer than anybody waits, inside C code, in its first attempts."""
    write_down("begin", context)
    if context.attempt <= payload["times"]:
        re.match(r"(a+)+$", "a" * 64 + "b")
    return done(context)


@task("test.steps", timeout_seconds=10, retry=SOON)
def steps(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Does some steps once each, however often it runs."""
    write_down("begin", context)
    for step in payload["steps"]:
        context.once(step, lambda step=step: effect(context, step))
        time.sleep(payload.get("seconds", 0.0))
    return done(context)


def effect(context: TaskContext, step: str) -> dict[str, Any]:
    value = {"step": step, "by": context.lease_token}
    write_down("effect", context, step=step, value=value)
    return value


@task("test.deaf", timeout_seconds=60, retry=SOON)
def deaf(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Sleeps for `seconds` without looking whether it is cancelled."""
    write_down("begin", context)
    time.sleep(payload["seconds"])
    return done(context)


@task("test.print", timeout_seconds=10, retry=SOON)
def printing(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Prints and logs, and raises in its first attempts."""
    print(f"printed in attempt {context.attempt}")
    context.logger.info("logged in attempt %d", context.attempt)
    if context.attempt <= payload["times"]:
        raise ValueError(payload.get("message", "no"))
    return done(context)
