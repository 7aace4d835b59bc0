"""What `make run` tells whoever started it: a person at a terminal in a few words, anybody else in the log."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from contracts.event import Event
from contracts.log_fields import about
from functions.runtime.settings import address_of
from observability.logs import is_for_people

if TYPE_CHECKING:
    from functions.runtime.local import LocalSystem
    from functions.runtime.settings import Settings

log = logging.getLogger("observatory.local")


class Teller:
    """`form` is the setting OBSERVATORY_LOG_FORMAT."""

    def __init__(self, form: str) -> None:
        self._to_people = is_for_people(form, sys.stdout)

    def jobs(self) -> Callable[[Sequence[Event]], None]:
        """What a store's commits are handed to, for a line an attempt that ended."""
        from observability import job_lines

        return job_lines.printed(_write_out) if self._to_people else job_lines.logged

    def started(self, system: "LocalSystem", catalogue: Any, seconds: float) -> None:
        if self._to_people:
            print(banner(system, catalogue, seconds), flush=True)
            return
        facts = {"url": system.address, "data": str(system.settings.data_folder.resolve()), "tasks": len(catalogue), "workers": system.settings.worker_count,
                 "pid": os.getpid(), "seconds": round(seconds, 3)}  # fmt: skip
        log.info("the system runs on %s; data: %s", system.address, recovered(system), extra=about("system.started", **facts))

    def stopping(self, system: "LocalSystem") -> None:
        words = draining(system)
        if self._to_people:
            print(f"{words} Ctrl-C again stops at once." if system.processor.busy else words, flush=True)
        else:
            log.info("%s", words, extra=about("system.stopping", busy=system.processor.busy))

    def stopped(self) -> None:
        words = "Stopped. Everything accepted is in the data folder."
        if self._to_people:
            print(words, flush=True)
        else:
            log.info("%s", words, extra=about("system.stopped"))


def banner(system: "LocalSystem", catalogue: Any, seconds: float) -> str:
    url = system.address
    modules = ", ".join(["built-in", *system.settings.task_modules])
    return f"""Distributed Task Observatory is running (process {os.getpid()}, up in {seconds:.1f} s)

  submit     {url}/v1/jobs   or CloudEvents to {url}/
  look       {url}/          live events: {url}/v1/stream
  API        {url}/openapi.json   metrics: {url}/metrics
  data       {where(system.settings)}: {recovered(system)}
  tasks      {len(catalogue)} types ({modules})
  workers    {system.settings.worker_count} processes

Try:
  curl -s '{url}/v1/jobs?wait=5' -H 'Content-Type: application/json' \\
    -d '{{"type": "text.statistics", "payload": {{"text": "hello world"}}}}'

Stop with Ctrl-C, or make stop from elsewhere.
"""


def where(settings: "Settings") -> str:
    """Where the jobs are, and what is kept elsewhere."""
    jobs = f"PostgreSQL at {address_of(settings.postgres_url)}" if settings.postgres_url else str(settings.data_folder.resolve())
    others = {"statistics on Redis": settings.redis_url, "event log on MongoDB": settings.mongo_url}
    return ", ".join([jobs, *(f"{what} at {address_of(url)}" for what, url in others.items() if url)])


def recovered(system: "LocalSystem") -> str:
    """What was found in the data folder, in words."""
    counts = system.counts
    total = sum(counts.values())
    if not total:
        return "new and empty"
    waiting = sum(counts.get(state, 0) for state in ("waiting", "scheduled", "queued", "retrying"))
    return f"{total:,} jobs, {waiting:,} waiting, {system.rescued:,} rescued"


def draining(system: "LocalSystem") -> str:
    busy = system.processor.busy
    if not busy:
        return "Stopping: nothing runs."
    return f"Stopping: waits for {busy} running {'job' if busy == 1 else 'jobs'}, {system.settings.drain_seconds:g} s at most."


def _write_out(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # whoever read this is gone; the work goes on
        return
