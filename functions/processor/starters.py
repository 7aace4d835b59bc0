"""The processes that import the task modules and fork the workers: begun, listened to, buried, and begun again when they die."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError
from contracts.log_fields import about
from functions.processor.worker_link import StarterLink, WorkerLink

START_SECONDS = 60.0
REVIVE_SECONDS = 1.0

log = logging.getLogger("observatory.processor.workers")


class Starters:
    """At most one is `current`; those before it last as long as their workers have jobs. `on_ended(starter, number, status)` tells of a
    worker that is dead, `on_change` that something was heard; `run` keeps a task until it is done."""

    def __init__(
        self, modules: Sequence[str], environment: Mapping[str, str] | None, *, run: Callable[[Coroutine[Any, Any, None]], None],
        on_ended: Callable[[StarterLink, int, int], None], on_change: Callable[[], None],
    ) -> None:  # fmt: skip
        self.modules = list(modules)
        self.current: StarterLink | None = None
        self.sources: list[str] = []
        """The files that the tasks were last made from; after a reload that failed also those that it came to."""
        self._environment = environment
        self._run, self._on_ended, self._on_change = run, on_ended, on_change
        self._said: dict[StarterLink, asyncio.Future[Catalogue]] = {}
        self._stopping = False

    async def begin(self, *, keeps_bytecode: bool = True) -> tuple[StarterLink, Catalogue]:
        """Another one, once it has imported the tasks, and their catalogue. Raises ConfigurationError for a module that cannot be used."""
        environment = dict(os.environ if self._environment is None else self._environment)
        starter = StarterLink(self.modules, environment, keeps_bytecode=keeps_bytecode)
        loop = asyncio.get_running_loop()
        said = self._said[starter] = loop.create_future()
        loop.add_reader(starter.control, self._on_control, starter)
        try:
            return starter, await asyncio.wait_for(said, START_SECONDS)
        except TimeoutError:
            await self.end(starter)
            raise ConfigurationError(
                f"the task modules {', '.join(self.modules)} did not finish importing in {START_SECONDS:g} s"
            ) from None
        except BaseException:
            await self.end(starter)
            raise
        finally:
            self._said.pop(starter, None)

    async def end(self, starter: StarterLink) -> None:
        with suppress(OSError, ValueError):
            asyncio.get_running_loop().remove_reader(starter.control)
        starter.close()
        try:
            await asyncio.to_thread(starter.process.wait, 5)
        except Exception:
            starter.process.kill()
            await asyncio.to_thread(starter.process.wait)

    def stopping(self) -> None:
        """From now on none that dies is replaced."""
        self._stopping = True

    async def stop(self, others: Iterable[StarterLink]) -> None:
        """Ends every one: the current, those that are beginning, and the others."""
        starters = {*others, *self._said}
        if self.current is not None:
            starters.add(self.current)
        for starter in starters:
            await self.end(starter)

    # ---- what they say

    def _on_control(self, starter: StarterLink) -> None:
        messages = starter.messages()
        if messages is None:
            self._died(starter)
            return
        for kind, *rest in messages:
            if kind == "forked":
                self._forked(starter, *rest)
            elif kind == "ended":
                self._on_ended(starter, *rest)
            else:
                self._imported(starter, kind, *rest)
        self._on_change()

    def _imported(self, starter: StarterLink, kind: str, answer: Any, sources: list[str]) -> None:
        self.sources = sources if kind == "ready" else sorted({*self.sources, *sources})
        said = self._said.get(starter)
        if said is None or said.done():
            return
        if kind == "ready":
            said.set_result(Catalogue.from_json(answer))
        else:
            said.set_exception(ConfigurationError(answer))

    @staticmethod
    def _forked(starter: StarterLink, number: int, pid: int) -> None:
        worker = starter.workers.get(number)
        if worker is not None and not worker.closed:
            worker.forked(pid)
            if worker.killing:
                worker.signal(signal.SIGKILL)

    # ---- their end

    def _died(self, starter: StarterLink) -> None:
        asyncio.get_running_loop().remove_reader(starter.control)
        said = self._said.get(starter)
        if said is not None and not said.done():
            said.set_exception(ConfigurationError("the process that imports the task modules died; its output says why"))
        if self._stopping:
            return
        self._run(self._bury(starter))
        if starter is self.current:
            log.warning("the process that starts the workers died; starting another", extra=about("workers.restarted"))
            self.current = None
            self._run(self._revive())

    async def _bury(self, starter: StarterLink) -> None:
        """The workers of a starter that died have died with it; this waits until they surely have, then tells so."""
        for worker in list(starter.workers.values()):
            worker.signal(signal.SIGKILL)
            while not _has_ended(worker):  # noqa: ASYNC110  # nothing tells of the end of a process that is no child
                await asyncio.sleep(0.005)
            self._on_ended(starter, worker.number, signal.SIGKILL)
            self._on_change()
        await self.end(starter)

    async def _revive(self) -> None:
        while not self._stopping:
            try:
                self.current, _ = await self.begin()
            except ConfigurationError as error:
                log.error("no workers: %s", error.message, extra=about("workers.missing"))  # noqa: TRY400
                await asyncio.sleep(REVIVE_SECONDS)
            else:
                self._on_change()
                return


def _has_ended(worker: WorkerLink) -> bool:
    if worker.closed:
        return True
    if worker.pid is None:
        return worker.requests() is None
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    return False
