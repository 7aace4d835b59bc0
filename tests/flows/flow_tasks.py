"""Tasks that misbehave, for the flows."""

import os
import re
import signal
import subprocess
import time
from typing import Any

from functions.processor.tasks import Permanent, Retry, RetryPolicy, Snooze, TaskContext, task

ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(max_attempts=3, initial_seconds=0.05, maximum_seconds=0.1)


@task("flow.loop", timeout_seconds=1, retry=ONCE)
def loop(payload: dict, context: TaskContext) -> None:
    print("into the loop", flush=True)
    while True:
        pass


@task("flow.c-code", timeout_seconds=1, retry=ONCE)
def c_code(payload: dict, context: TaskContext) -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")  # holds the interpreter's lock for longer than anybody lives


@task("flow.die", retry=QUICK)
def die(payload: dict, context: TaskContext) -> dict[str, Any]:
    if context.attempt < 2:
        os._exit(7)
    return {"attempt": context.attempt}


@task("flow.talk", retry=ONCE)
def talk(payload: dict, context: TaskContext) -> None:
    print("printed")
    context.logger.warning("logged")
    subprocess.run(["echo", "from a child"], check=True)
    raise ValueError("this is why")


@task("flow.permanent")
def permanent(payload: dict, context: TaskContext) -> None:
    raise Permanent("no use in trying again")


@task("flow.retry", retry=RetryPolicy(max_attempts=2))
def retry(payload: dict, context: TaskContext) -> int:
    if context.attempt == 1:
        raise Retry(after=0.05)
    return context.attempt


@task("flow.snooze", retry=ONCE)
def snooze(payload: dict, context: TaskContext) -> dict[str, Any]:
    first = context.once("first", time.time_ns)
    if time.time_ns() - first < 200_000_000:
        raise Snooze(0.25)
    return {"attempt": context.attempt}


@task("flow.async")
async def asynchronous(payload: dict, context: TaskContext) -> str:
    import asyncio

    await asyncio.sleep(0.01)
    return "awaited"


@task("flow.steps", retry=QUICK)
def steps(payload: dict, context: TaskContext) -> list[str]:
    def step(name: str) -> str:
        with open(payload["ledger"], "a", encoding="utf-8") as ledger:
            ledger.write(name + "\n")
        return name

    done = [context.once("one", lambda: step("one"))]
    if context.attempt == 1:
        os._exit(9)
    return [*done, context.once("two", lambda: step("two"))]


@task("flow.ladder", retry=RetryPolicy(max_attempts=6, initial_seconds=0.05, maximum_seconds=0.1))
def ladder(payload: dict, context: TaskContext) -> list[int]:
    """Four steps; attempt N is killed at step N: once it is stored, or, `inside`, before."""

    def step(number: int) -> int:
        with open(payload["ledger"], "a", encoding="utf-8") as ledger:
            ledger.write(f"{number} ")
        if payload["inside"] and context.attempt == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    done = []
    for number in range(1, 5):
        done.append(context.once(str(number), lambda number=number: step(number)))
        if context.attempt == number:
            os.kill(os.getpid(), signal.SIGKILL)
    return done


@task("flow.slow", timeout_seconds=30)
def slow(payload: dict, context: TaskContext) -> str:
    deadline = time.monotonic() + payload.get("seconds", 1.0)
    while time.monotonic() < deadline and not context.cancelled:
        time.sleep(0.02)
    return "finished"
