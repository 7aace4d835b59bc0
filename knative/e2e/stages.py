"""Progress of long work: stages that begin and end, for people or as JSON lines.

A line of JSON is ``{"stage": str, "state": "begun" | "told" | "done" | "failed", "seconds": float, "message": str}``; the
console's launcher reads them.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO


class StageFailed(Exception):
    """A stage that could not be done; the message says what happened, `look` what to look at."""

    def __init__(self, message: str, look: str = "") -> None:
        super().__init__(message)
        self.message, self.look = message, look
        self.is_told = False

    @property
    def words(self) -> str:
        return self.message + (f"\n{self.look}" if self.look else "")


class Progress:
    """Tells how far the work is; keeps how long each stage took."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.as_json = as_json
        self._out, self._clock, self._lock = out or sys.stdout, clock, threading.Lock()
        self._began = clock()
        self.took: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def stage(self, name: str, message: str = "") -> Iterator["Stage"]:
        """One stage; what it raises is told as its failure. Raises StageFailed."""
        stage = Stage(self, name, self._clock())
        self._tell(name, "begun", 0.0, message)
        try:
            yield stage
        except StageFailed as error:
            self.failed(name, error, self._clock() - stage.began)
            raise
        seconds = self._clock() - stage.began
        self.took.append((name, seconds))
        self._tell(name, "done", seconds, stage.result)

    def together(self, work: Sequence[Callable[[], Any]]) -> list[Any]:
        """Does several things at once; raises the first failure after all have ended."""
        with ThreadPoolExecutor(max_workers=max(len(work), 1)) as pool:
            futures = [pool.submit(each) for each in work]
        return [future.result() for future in futures]

    def failed(self, name: str, error: StageFailed, seconds: float | None = None) -> None:
        """Tells a failure, once: where it happened, or else at the end of everything."""
        if not error.is_told:
            error.is_told = True
            self._tell(name, "failed", self._clock() - self._began if seconds is None else seconds, error.words)

    def summary(self) -> None:
        """Where the time went."""
        total = self._clock() - self._began
        if self.as_json:
            self._tell("all", "done", total, "")
            return
        slowest = sorted(self.took, key=lambda item: -item[1])[:6]
        self._write(f"\n{total:.0f} s in all; most of it: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest))

    def say(self, text: str) -> None:
        """Words for people alone."""
        if not self.as_json:
            self._write(text)

    def _tell(self, stage: str, state: str, seconds: float, message: str) -> None:
        if self.as_json:
            self._write(json.dumps({"stage": stage, "state": state, "seconds": round(seconds, 1), "message": message}))
            return
        mark = {"begun": "...", "told": "   ", "done": "ok ", "failed": "FAILED"}[state]
        time_text = f"{seconds:6.1f} s" if state in ("done", "failed") else " " * 8
        if state == "begun" and not message:
            return
        self._write(f"{mark} {time_text}  {stage:<12} {message}".rstrip())

    def _write(self, line: str) -> None:
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()


class Stage:
    """A stage under way."""

    def __init__(self, progress: Progress, name: str, began: float) -> None:
        self.began, self.result = began, ""
        self._progress, self._name = progress, name

    def tell(self, message: str) -> None:
        """A step within the stage."""
        self._progress._tell(self._name, "told", 0.0, message)
