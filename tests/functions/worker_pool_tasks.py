"""Handlers that do to their worker what handlers do in real life."""

import asyncio
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from functions.processor.tasks import Permanent, Retry, Snooze, TaskContext, task


@task("pool.echo")
def echo(payload: dict[str, Any]) -> Any:
    """Answers its payload."""
    return payload


@task("pool.record", timeout_seconds=5)
def record(payload: dict[str, Any], context: TaskContext) -> int:
    """Appends a line to a file: one write, so that lines of several workers do not mix."""
    fd = os.open(payload["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{payload['n']} {os.getpid()}\n".encode())
    os.close(fd)
    if payload.get("seconds"):
        time.sleep(payload["seconds"])
    return payload["n"]


@task("pool.spin")
def spin(payload: dict[str, Any]) -> None:
    """A loop without end in Python."""
    print("spinning")
    Path(payload["mark"]).write_text(str(os.getpid()))
    while True:
        pass


@task("pool.regex")
def regex(payload: dict[str, Any]) -> None:
    """A loop without end, nearly, inside C code that keeps the interpreter's lock."""
    print("matching")
    libc = ctypes.PyDLL(None)  # PyDLL keeps the lock while it calls
    Path(payload["mark"]).write_text(str(os.getpid()))
    if payload.get("sleep"):
        libc.sleep(1000)
    re.match(r"(a+)+$", "a" * 64 + "b")


@task("pool.exit")
def leave(payload: dict[str, Any]) -> None:
    """Ends the process under itself."""
    print("leaving")
    how = payload["how"]
    if how == "os._exit":
        os._exit(3)
    if how == "sys.exit":
        sys.exit("enough")
    if how == "fork":
        if os.fork() == 0:
            return
        os.wait()
        return
    os.kill(os.getpid(), getattr(signal, how))


@task("pool.sleep")
def sleep(payload: dict[str, Any], context: TaskContext) -> str:
    """Sleeps, marks its beginning, and heeds a cancel when it is told to."""
    if payload.get("mark"):
        Path(payload["mark"]).write_text(str(os.getpid()))
    end = time.monotonic() + payload["seconds"]
    while time.monotonic() < end:
        if payload.get("heeds"):
            context.check_cancelled()
        if payload.get("returns") and context.cancelled:
            return "stopped early"
        time.sleep(0.005)
    return "slept"


@task("pool.print")
def say(payload: dict[str, Any], context: TaskContext) -> None:
    """Writes by every way there is."""
    print("by print")
    sys.stderr.write("by stderr\n")
    logging.getLogger("somebody.else").warning("by logging")
    context.logger.info("by the context's logger")
    os.write(1, b"by os.write\n")
    subprocess.run(["sh", "-c", "echo by a subprocess; echo and its stderr >&2"], check=True)
    libc = ctypes.CDLL(None)
    libc.printf(b"by printf\n")


@task("pool.flood")
def flood(payload: dict[str, Any]) -> None:
    """Prints more than is kept."""
    print("the first line")
    for _ in range(payload["lines"]):
        print("x" * 99)
    print("the last line")


@task("pool.background")
def background(payload: dict[str, Any]) -> None:
    """Starts a program and waits for it for long."""
    process = subprocess.Popen(["sleep", "1000"])
    Path(payload["mark"]).write_text(f"{os.getpid()} {process.pid}")
    process.wait()


@task("pool.progress")
def progress(payload: dict[str, Any], context: TaskContext) -> None:
    """Says more often than once a second how far it is."""
    for step in range(payload["steps"]):
        context.progress(step / payload["steps"], f"step {step}")
        time.sleep(payload["seconds"] / payload["steps"])
    context.progress(1, "all done")


@task("pool.once")
def once(payload: dict[str, Any], context: TaskContext) -> list[Any]:
    """Steps with stored values; dies behind the one that is named."""
    values = []
    for step in payload["steps"]:
        values.append(context.once(step, lambda step=step: _effect(payload["file"], step, context)))
        if payload.get("die_after") == step and context.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return values


def _effect(file: str, step: str, context: TaskContext) -> Any:
    with open(file, "a") as ledger:
        ledger.write(f"{context.key(step)}\n")
    return {"step": step, "pair": (1, 2)}


@task("pool.raise")
def fail(payload: dict[str, Any]) -> None:
    """Raises what is asked for."""
    kind = payload["kind"]
    if kind == "retry":
        raise Retry(after=7, message="not yet")
    if kind == "snooze":
        raise Snooze(9)
    if kind == "permanent":
        raise Permanent("never")
    if kind == "nul":
        raise ValueError("a NUL \0 and half a pair \ud800")
    if kind == "wordless":
        raise Wordless
    if kind == "base":
        raise KeyboardInterrupt
    raise ValueError("bad luck")


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@task("pool.result")
def result(payload: dict[str, Any]) -> Any:
    """Answers what JSON cannot hold, or can."""
    answers: dict[str, Any] = {
        "object": object(),
        "nan": {"a": [1.0, float("nan")]},
        "large": "x" * (1 << 20),
        "nearly large": "x" * ((1 << 20) - 2),
        "tuple": {"pair": (1, 2)},
        "dataclass": Order(1, [Line("tea", 2)]),
        "integer": 2**64,
        "surrogate": "\ud800",
        "keys": {1: 2},
        "deep": _deep(1000),
        "null": [None],
    }
    return answers[payload["kind"]]


def _deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@dataclass
class Line:
    article: str
    count: int = 1


@dataclass
class Order:
    number: int
    lines: Annotated[list[Line], "what is ordered"] = field(default_factory=list)


@task("pool.order")
def order(payload: Order) -> str:
    """Takes a dataclass."""
    return f"{payload.number}: {', '.join(f'{line.count} {line.article}' for line in payload.lines)}"


@task("pool.async")
async def asynchronous(payload: dict[str, Any], context: TaskContext) -> Any:
    """Awaits."""

    async def double() -> int:
        await asyncio.sleep(0)
        return payload["n"] * 2

    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(3)))
    return [await context.once("double", double), context.once("plain", lambda: 1)]


@task("pool.thread")
def threaded(payload: dict[str, Any], context: TaskContext) -> list[Any]:
    """Uses its context from threads."""
    values: list[Any] = []

    def work(n: int) -> None:
        context.progress(n / 8)
        values.append(context.once(f"step {n}", lambda: n))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(values)


@task("pool.environ")
def environ(payload: dict[str, Any]) -> Any:
    """Answers what of its surroundings matters."""
    return {
        "PYTHONPATH": os.environ.get("PYTHONPATH"),
        "NAME": os.environ.get("POOL_NAME"),
        "fds": len(list(Path("/proc/self/fd").iterdir())),
    }


@task("pool.vandal")
def vandal(payload: dict[str, Any]) -> None:
    """Leaves a mess."""
    print("before")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    os.close(1)
    os.close(2)
