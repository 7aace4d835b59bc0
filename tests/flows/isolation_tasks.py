"""Tasks that never do well, and one that always does."""

import os
import signal

from functions.processor.tasks import RetryPolicy, task

AGAIN = RetryPolicy(max_attempts=4, initial_seconds=0.1, maximum_seconds=0.3)


@task("isolation.well")
def well(payload: dict) -> None:
    """Does nothing, well."""


@task("isolation.fail", retry=AGAIN)
def fail(payload: dict) -> None:
    raise ValueError("never any good")


@task("isolation.kill", retry=AGAIN)
def kill(payload: dict) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
