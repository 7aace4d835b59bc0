"""The supervisor: starts the processes, shows what they say, starts again what died, and stops them in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from contracts.log_fields import about
from functions.runtime.processes.output import Lines
from functions.runtime.processes.roster import Entry

log = logging.getLogger("observatory.processes")

PAUSES_SECONDS = (0.5, 15.0)
STEADY_SECONDS = 30.0  # who lived so long starts again at once
MISCONFIGURED = 78  # EX_CONFIG of sysexits.h: starting again would not help
KILL_SECONDS = 15.0  # beyond the drain
LAST_WORDS_SECONDS = 1.0


class Child:
    """One process of the roster, over all its lives."""

    def __init__(self, entry: Entry, listener: socket.socket, environment: Mapping[str, str], lines: Lines) -> None:
        self.entry = entry
        self._listener, self._environment, self._lines = listener, environment, lines
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep(self) -> int:
        """Runs it until it is stopped, again and again; its last exit code, or MISCONFIGURED at once."""
        loop, (shortest, longest) = asyncio.get_running_loop(), PAUSES_SECONDS
        pause = shortest
        while True:
            born = loop.time()
            code = await self._live()
            if self._stopping.is_set() or code == MISCONFIGURED:
                return code
            pause = shortest if loop.time() - born > STEADY_SECONDS else min(pause * 2, longest)
            log.warning("%s ended (%s) and starts again in %.1f s", self.entry.name, _ending(code), pause,
                        extra=about("process.restarted", member=self.entry.name, code=code))  # fmt: skip
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if self._stopping.is_set():
                return 0

    async def _live(self) -> int:
        descriptor = self._listener.fileno()
        self.starts += 1
        command = ("-m", "functions.runtime.processes.member", self.entry.role, "--socket", str(descriptor), "--parent", str(os.getpid()))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=dict(self._environment), pass_fds=(descriptor,), start_new_session=True,  # a Ctrl-C is for the supervisor alone
        )  # fmt: skip
        if self._stopping.is_set():
            self.send(signal.SIGTERM)
        reading = asyncio.create_task(self._read(self._process.stdout))
        code = await self._process.wait()
        await asyncio.wait({reading}, timeout=LAST_WORDS_SECONDS)  # a child of its own may hold the pipe open
        reading.cancel()
        return code

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while data := await stream.read(65_536):
            self._lines.feed(data)
        self._lines.end()

    def stop(self) -> None:
        """Asks it to drain and end, and not to start again."""
        self._stopping.set()
        self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it and all its own processes at once."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class Supervisor:
    """Holds the children. `drain_seconds` is what each of them may take to end."""

    def __init__(self, children: Sequence[Child], drain_seconds: float, say: Callable[[str], None]) -> None:
        self.children, self._drain_seconds, self._say = children, drain_seconds, say
        self._asked = asyncio.Event()

    def ask_to_stop(self) -> None:
        self._asked.set()

    def kill_all(self) -> None:
        for child in self.children:
            child.kill()

    async def run(self) -> int:
        """Until somebody asks to stop, or one of them says that it can never run: then 1."""
        kept = {child: asyncio.create_task(child.keep(), name=child.entry.name) for child in self.children}
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait({asked, *kept.values()}, return_when=asyncio.FIRST_COMPLETED)
        misconfigured = not asked.done()
        asked.cancel()
        for group in sorted({child.entry.ends for child in self.children}):
            await self._stop([(child, kept[child]) for child in self.children if child.entry.ends == group])
        return 1 if misconfigured else 0

    async def _stop(self, children: Sequence[tuple[Child, "asyncio.Task[int]"]]) -> None:
        for child, _ in children:
            child.stop()
        ends = [task for _, task in children]
        _, late = await asyncio.wait(ends, timeout=self._drain_seconds + KILL_SECONDS)
        if late:
            for child, task in children:
                if task in late:
                    self._say(f"{child.entry.name} does not end and is killed; what it ran is rescued when its leases run out.")
                    child.kill()
            await asyncio.wait(ends)


def _ending(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
