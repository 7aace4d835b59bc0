"""`make test-all`: everything that exists, one part after the other; goes on after a failure, and ends with one table.

Named parts alone: `make test-all PARTS="lint test"`. What failed is repeated, a line a test or check, below the table.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COUNTS = re.compile(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.M)
_FAILURES = re.compile(r"^\s*(?:FAILED|ERROR|FAIL)\s.*", re.M)  # pytest's, and the gate's


def _always() -> str:
    return ""


def _cluster_tools() -> str:
    """Why there is no cluster here; empty when there can be one."""
    missing = [name for name in ("docker", "kind", "kubectl") if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} on PATH"
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=60)
    return "" if asked.returncode == 0 else "no Docker engine answers"


@dataclass(frozen=True, slots=True)
class Part:
    """A make target, what it proves, and why it cannot run here (empty: it can)."""

    target: str
    proves: str
    absent: Callable[[], str] = _always


PARTS = (
    Part("lint", "ruff, mypy, contracts"),
    Part("test", "everything on this machine alone"),
    Part("test-servers", "the same ports on real servers"),
    Part("test-openapi", "20,000 requests made up from the API's description"),
    Part("test-kills", "seeded kills under load"),
    Part("e2e", "a cluster with Knative", _cluster_tools),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`verdict` is passed, FAILED or not run; `found` what was counted, or why not; `failures` a line each."""

    part: Part
    verdict: str
    seconds: float
    found: str
    failures: Sequence[str] = ()


def run(part: Part, command: Sequence[str] = ("make", "--no-print-directory")) -> Outcome:
    """Runs one part, its output shown as it comes."""
    if reason := part.absent():
        return Outcome(part, "not run", 0.0, reason)
    print(f"\n== make {part.target}: {part.proves}", flush=True)
    began = time.monotonic()
    command = [*command, part.target]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        assert process.stdout is not None
        said = "".join(_shown(process.stdout))
    code = process.returncode
    failures = [line.strip() for line in _FAILURES.findall(said)] if code else []
    return Outcome(part, "FAILED" if code else "passed", time.monotonic() - began, _counted(said, code), failures)


def _shown(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        sys.stdout.write(line)
        sys.stdout.flush()
        yield line


def _counted(said: str, code: int) -> str:
    counts = _COUNTS.findall(said)
    return counts[-1] if counts else "" if code == 0 else f"exit code {code}"


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [("PART", "VERDICT", "SECONDS", "FOUND"), *((o.part.target, o.verdict, f"{o.seconds:.0f}", o.found) for o in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows)


def main(names: Sequence[str] = ()) -> int:
    known = [part.target for part in PARTS]
    if unknown := [name for name in names if name not in known]:
        print(f"error: no part is named {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    outcomes = [run(part) for part in PARTS if not names or part.target in names]
    print(f"\n{table(outcomes)}", flush=True)
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"{outcome.part.target}: {failure}", flush=True)
    return 1 if any(outcome.verdict == "FAILED" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
