"""Tries schemas out, one at a time, in a process of its own that may take so long and no longer."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from contracts.errors import ContractViolation, Fault, Overloaded

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0  # of the clock; of the processor it gets 5
TOO_LONG = "the documents take too long with it; look for parts that are applied again and again, or try fewer documents"
MOST_BYTES = 16_000_000  # of documents; older ones are left out


class Trials:
    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._is_busy = False

    async def run(self, schema: Any, documents: Sequence[Any]) -> dict[str, Any]:
        """What `contracts.trial` says. Raises ContractViolation for a schema that is none or takes too long, Overloaded while
        another one is tried."""
        if self._is_busy:
            raise Overloaded("another schema is being tried out; try again")
        self._is_busy = True
        try:
            told: dict[str, Any] = orjson.loads(await self._asked(orjson.dumps({"schema": schema, "documents": documents})))
        finally:
            self._is_busy = False
        if "unusable" in told:
            raise _refused(told["unusable"])
        return told

    async def _asked(self, question: bytes) -> bytes:
        pipe = asyncio.subprocess.PIPE
        command = ["nice", "-n", "10", sys.executable, "-m", "functions.runtime.trial"]
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT)
        try:
            async with asyncio.timeout(self._seconds):
                answer, _ = await process.communicate(question)
        except TimeoutError:
            raise _refused(TOO_LONG) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == -signal.SIGXCPU:
            raise _refused(TOO_LONG)
        if process.returncode:
            raise _refused(f"the process that tried this schema ended with {process.returncode}: it takes too much memory")
        return answer


def _refused(words: str) -> ContractViolation:
    return ContractViolation("The schema cannot be tried out.", faults=[Fault("/schema", words)])
