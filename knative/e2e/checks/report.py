"""One line a check, PASS or FAIL with its seconds, and a summary; as JSON lines, too."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from knative.e2e.stages import StageFailed

Check = Callable[[Any], str]  # gets the deployment, returns what it saw; raises StageFailed, AssertionError


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a check."""

    name: str
    passed: bool
    seconds: float
    message: str

    def line(self) -> str:
        word = "PASS" if self.passed else "FAIL"
        return f"{word}  {self.seconds:6.1f} s  {self.name}" + (f": {self.message}" if self.message else "")

    def as_json(self) -> str:
        return json.dumps({"check": self.name, "state": "passed" if self.passed else "failed", "seconds": round(self.seconds, 2), "message": self.message})


def title(check: Check) -> str:
    """A check's name as words: the function's own."""
    return check.__name__.replace("_", " ")


def run_checks(checks: Sequence[Check], deployment: Any, *, as_json: bool = False, out: TextIO | None = None) -> list[Result]:
    """Runs all, in order, whatever fails; tells each as it ends."""
    stream = out or sys.stdout
    results = []
    for check in checks:
        began = time.monotonic()
        try:
            passed, message = True, check(deployment)
        except StageFailed as error:
            passed, message = False, error.words
        except AssertionError as error:
            passed, message = False, str(error) or "what was seen is not what must be"
        except Exception as error:  # a check that breaks has failed, and the others go on
            passed, message = False, f"{type(error).__name__}: {error}"
        result = Result(title(check), passed, time.monotonic() - began, message)
        results.append(result)
        stream.write((result.as_json() if as_json else result.line()) + "\n")
        stream.flush()
    return results


def summary(results: Sequence[Result]) -> Result:
    """What became of all of them, as one more result: `all`."""
    failed = [result for result in results if not result.passed]
    words = f"{len(results) - len(failed)} passed, {len(failed)} failed"
    named = "" if not failed else "\nfailed: " + ", ".join(result.name for result in failed)
    return Result("all", not failed, sum(result.seconds for result in results), words + named)
