"""What the supervisor tells whoever started it."""

import logging
import sys
from collections.abc import Mapping, Sequence

from contracts.log_fields import about
from functions.runtime.processes.roster import Entry
from functions.runtime.settings import Settings, address_of
from observability.logs import is_for_people

log = logging.getLogger("observatory.processes")


class Teller:
    """A person at a terminal in a few words, anybody else in the log."""

    def __init__(self, form: str) -> None:
        self.to_people = is_for_people(form, sys.stdout)

    def write(self, text: str) -> None:
        """What the processes say: to people on standard output, log lines on standard error."""
        stream = sys.stdout if self.to_people else sys.stderr
        try:
            stream.write(text)
            stream.flush()
        except OSError:  # whoever read this is gone; the work goes on
            return

    def started(self, settings: Settings, url: str, entries: Sequence[Entry], ports: Mapping[str, int], seconds: float) -> None:
        if self.to_people:
            self.write(banner(settings, url, entries, ports, seconds))
        else:
            log.info("%d processes run on %s", len(entries), url, extra=about("system.started", url=url, processes=len(entries), seconds=round(seconds, 3)))

    def stopping(self, settings: Settings) -> None:
        words = f"Stopping: waits for running jobs, {settings.drain_seconds:g} s at most."
        if self.to_people:
            self.write(f"{words} Ctrl-C again stops at once.\n")
        else:
            log.info("%s", words, extra=about("system.stopping"))

    def stopped(self) -> None:
        words = "Stopped. Everything accepted is in PostgreSQL."
        if self.to_people:
            self.write(words + "\n")
        else:
            log.info("%s", words, extra=about("system.stopped"))

    def say(self, words: str) -> None:
        if self.to_people:
            self.write(words + "\n")
        else:
            log.warning("%s", words, extra=about("process.killed"))


def banner(settings: Settings, url: str, entries: Sequence[Entry], ports: Mapping[str, int], seconds: float) -> str:
    names = ", ".join(entry.name for entry in entries)
    health = "  ".join(f"{role} :{port}" for role, port in ports.items())
    servers = {"jobs": settings.postgres_url, "statistics": settings.redis_url, "event log": settings.mongo_url, "events": settings.rabbitmq_url}
    places = "\n".join(f"  {name:<11}{address_of(url)}" for name, url in servers.items() if url)
    return f"""Distributed Task Observatory is running as {len(entries)} processes (up in {seconds:.1f} s)

  submit     {url}/v1/jobs   or CloudEvents to {url}/
  look       {url}/          live events: {url}/v1/stream
  API        {url}/openapi.json   metrics: {url}/metrics
{places}
  processes  {names}
  health     /health/readiness and /metrics on 127.0.0.1: {health}

Stop with Ctrl-C, or make stop from elsewhere.
"""
