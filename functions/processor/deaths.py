"""What is told of an attempt whose worker process died."""

import os
import signal
from typing import Any

from functions.processor.worker_link import Held


def how_it_ended(why: str | None, held: Held, status: int, trace: str | None, cancel_grace_seconds: float) -> tuple[str, dict[str, Any]]:
    """Kind and error of an attempt whose worker died, by our hand (`why`) or not."""
    if why == "timed_out":
        text = f"the handler ran longer than its timeout of {held.assignment.timeout_seconds:g} s and was killed"
        return "timed_out", {"type": "TimedOut", "message": text, "traceback": _where(trace)}
    if why == "cancelled":
        text = f"the handler did not end within {cancel_grace_seconds:g} s of the cancel and was killed"
        return "cancelled", {"type": "JobCancelled", "message": text, "traceback": None}
    return "worker_died", {"type": "WorkerDied", "message": _how_it_died(status), "traceback": None}


def _how_it_died(status: int) -> str:
    if os.WIFEXITED(status):
        return f"the handler ended its worker process with exit code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    hint = " (by hand, or by the system because memory ran out)" if number == signal.SIGKILL else ""
    return f"the worker process was killed by {name}{hint} while the handler ran"


def _where(trace: str | None) -> str | None:
    """The stack of the thread that was running, in a trace that faulthandler wrote."""
    if not trace:
        return None
    lines = trace.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("Current thread")), 0)
    return "\n".join(line for line in lines[start:] if "functions/processor/" not in line or "/tasks/" in line)
