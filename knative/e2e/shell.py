"""Commands of other programs: bounded in time, their words kept."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from knative.e2e.stages import StageFailed

ROOT = Path(__file__).resolve().parents[2]


def run(
    command: Sequence[str], *, timeout: float = 60.0, given: str | None = None, environment: Mapping[str, str] | None = None, look: str = ""
) -> str:
    """What the command printed. Raises StageFailed with the end of its words."""
    done = attempt(command, timeout=timeout, given=given, environment=environment)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise StageFailed(f"`{' '.join(command[:6])}` failed: {words}", look)
    return done.stdout


def attempt(
    command: Sequence[str], *, timeout: float = 60.0, given: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The ended command, whatever its exit code. Raises StageFailed when it is not there or takes too long."""
    if shutil.which(command[0]) is None:
        raise StageFailed(f"{command[0]} is not on the PATH")
    try:
        return subprocess.run(
            list(command), input=given, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
            env={**os.environ, **environment} if environment else None,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise StageFailed(f"`{' '.join(command[:6])}` did not end within {timeout:.0f} s") from None
