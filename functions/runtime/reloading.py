"""The development loop of `make run`: task modules and schemas that change are taken over while everything goes on."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError

log = logging.getLogger("observatory.reloading")
LOOK_SECONDS = 0.5
Snapshot = dict[str, object]


class Pool(Protocol):
    """The worker pool."""

    @property
    def sources(self) -> list[str]:
        """The files that its tasks were made from."""

    async def reload(self) -> Catalogue: ...


class Reloader:
    """Looks at the files twice a second, and has the pool import them anew once a change has settled.

    `take_over` gets the new catalogue and says what it changed. What does not import changes nothing: one line says why, and
    the next change is another try; a new file beside the others counts then, too, for it may be what was missing.
    """

    def __init__(self, pool: Pool, take_over: Callable[[Catalogue], Awaitable[str]], look_seconds: float = LOOK_SECONDS) -> None:
        self._pool, self._take_over, self._look_seconds = pool, take_over, look_seconds
        self._is_broken = False
        self._seen: Snapshot | None = None

    async def begin(self) -> None:
        """Notes the files as they are: from here on every change counts."""
        self._seen = await self._look()

    async def run(self) -> None:
        seen = self._seen if self._seen is not None else await self._look()
        while True:
            await asyncio.sleep(self._look_seconds)
            now = await self._look()
            if now == seen:
                continue
            settled = await self._settled(now)
            await self._reload()
            now = await self._look()
            seen = now | {path: state for path, state in settled.items() if path in now}  # what changed meanwhile is still to come

    async def _look(self) -> Snapshot:
        return await asyncio.to_thread(snapshot, self._pool.sources, self._is_broken)

    async def _settled(self, now: Snapshot) -> Snapshot:
        """The files once nothing changed between two looks: an editor or a checkout may write many."""
        while True:
            await asyncio.sleep(self._look_seconds / 2)
            then, now = now, await self._look()
            if then == now:
                return now

    async def _reload(self) -> None:
        try:
            catalogue = await self._pool.reload()
            words = await self._take_over(catalogue)
        except ConfigurationError as error:
            self._is_broken = True
            log.error("not reloaded, the tasks go on as they were: %s", error.message, extra={"action": "tasks.broken"})  # noqa: TRY400
        except Exception:
            log.exception("not reloaded", extra={"action": "tasks.failed"})
        else:
            self._is_broken = False
            log.info("reloaded: %s; attempts that run end on the old code", words, extra={"action": "tasks.reloaded"})


def snapshot(files: Iterable[str], with_folders: bool) -> Snapshot:
    """What tells one state of the files from another; with their folders also which files are there."""
    found: Snapshot = {file: _state(file) for file in files}
    if with_folders:
        found |= {folder: _names(folder) for folder in {str(Path(file).parent) for file in found}}
    return found


def _state(file: str) -> tuple[int, ...] | None:
    try:
        state = os.stat(file)  # noqa: PTH116 - twice a second for every file
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def _names(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.name.endswith((".py", ".json")) or entry.is_dir())
    except OSError:
        return frozenset()


def difference(old: Catalogue, new: Catalogue) -> str:
    """What another catalogue changes, in words: `2 tasks added (a.b, c.d), 1 changed (e.f)`."""
    before, after = ({task.type: task for task in catalogue.definitions()} for catalogue in (old, new))
    parts = {
        "added": [name for name in after if name not in before],
        "gone": [name for name in before if name not in after],
        "with another definition": [name for name in after if name in before and after[name] != before[name]],
    }
    told = [f"{', '.join(names)} {how}" for how, names in parts.items() if names]
    return "; ".join(told) or f"the code of the {len(after)} tasks"
