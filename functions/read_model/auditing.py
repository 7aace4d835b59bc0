"""The audit on demand: a process of its own folds the log, so that nobody waits for it; the last report is kept."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
MOST = 200  # differences that are shown


class Auditor:
    """At most one audit at a time. `environment` is what the process inherits."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._task: asyncio.Task[None] | None = None
        self._found: Document = {"status": "never", "items": []}

    def document(self) -> Document:
        return self._found

    def start(self) -> Document:
        """Begins an audit, if none is under way."""
        if self._task is None or self._task.done():
            self._found = {"status": "running", "progress": None, "items": []}
            self._task = asyncio.get_running_loop().create_task(self._run(), name="audit")
        return self._found

    async def drain(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        found: Document = self._found
        command = ["nice", "-n", "10", sys.executable, "-m", "functions.runtime.rebuild"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=self._environment)
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                self._take(found, json.loads(line))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        if found["status"] == "running":
            found |= {"status": "failed", "problem": f"it ended with {process.returncode}"}

    @staticmethod
    def _take(found: Document, told: Document) -> None:
        if "progress" in told:
            found["progress"] = told["progress"]
        elif "difference" in told:
            if len(found["items"]) < MOST:
                found["items"].append(told["difference"])
        elif "report" in told:
            found.update(told["report"], status="finished", progress=None)
        else:
            found |= {"status": "failed", "problem": told.get("error")}
