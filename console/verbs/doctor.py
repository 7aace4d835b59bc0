"""doctor: what is wrong, and how to mend it. Works without a server, too."""

import argparse
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from console import environment, exits
from console.session import Session
from console.text import Cell, Column, clean, size
from contracts.errors import ObservatoryError

EXAMPLES = """The exit code is 1 when a line says fail.

examples:
  doctor
  doctor --json | jq '.items[] | select(.verdict != "ok")'
"""
COLUMNS = (Column(""), Column("WHAT", least=12), Column("FOUND", flexible=True, least=20))
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
LITTLE_BYTES = 1024**3
LAG_EVENTS = 1_000
CLOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `verdict` is ok, warn or fail; `mend` says what to do about it."""

    verdict: str
    what: str
    found: str
    mend: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """It takes no arguments of its own."""


def run(session: Session, arguments: argparse.Namespace) -> int:
    findings = list(examine(session))
    if session.as_json:
        session.json({"items": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            session.table(COLUMNS, [(Cell(finding.verdict, COLOURS[finding.verdict]), f"{finding.what:<14}", clean(finding.found))], header=False)
            if finding.mend:
                session.say(clean(f"      {finding.mend}"))
    return exits.FAILED if any(finding.verdict == "fail" for finding in findings) else exits.OK


def examine(session: Session) -> Iterator[Finding]:
    """Every finding, those about this machine first."""
    yield _python()
    yield _sqlite()
    yield from _data_folder()
    yield from _server(session)


# ---- this machine -----------------------------------------------------------------------------------------------


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Finding("ok" if good else "fail", "Python", version, "" if good else "install Python 3.11 or later, then: make clean run")


def _sqlite() -> Finding:
    good = sqlite3.sqlite_version_info >= (3, 35)
    mend = "" if good else "Python comes with too old an SQLite; 3.35 or later is needed"
    return Finding("ok" if good else "fail", "SQLite", sqlite3.sqlite_version, mend)


def _data_folder() -> Iterator[Finding]:
    folder = environment.data_folder()
    if not folder.exists():
        yield Finding("ok", "data folder", f"{folder.resolve()} is not there yet; make run makes it")
        folder = folder.resolve().parent
        while not folder.exists():
            folder = folder.parent
    else:
        yield Finding("ok", "data folder", str(folder.resolve()))
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("fail", "writable", f"{folder} is not", f"chown it to {os.environ.get('USER', 'your user')}, or set OBSERVATORY_DATA")
    free = shutil.disk_usage(folder).free
    mend = "" if free > LITTLE_BYTES else "make room: when the disk is full, submissions are answered 503 (nothing accepted is lost)"
    yield Finding("ok" if free > LITTLE_BYTES else "warn", "free space", size(free), mend)


def _holder() -> dict[str, Any]:
    try:
        found = json.loads((environment.data_folder() / "lock").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# ---- the server -------------------------------------------------------------------------------------------------


def _server(session: Session) -> Iterator[Finding]:
    client = session.client
    began = time.time()
    try:
        client.get("/health/liveness")
    except ObservatoryError as error:
        yield Finding("fail", "server", str(error), _where_it_is(session.url))
        return
    yield Finding("ok", "server", f"{session.url} answers in {(time.time() - began) * 1000:.0f} ms")
    checks: tuple[Callable[[Any], Iterator[Finding]], ...] = (_readiness, _stores, _statistics, _clock, _letters, _queues, _alerts)
    for check in checks:
        try:
            yield from check(client)
        except ObservatoryError as error:
            keyed = getattr(error, "status", None) in (401, 403)
            mend = "set OBSERVATORY_API_KEY to a key of the role read" if keyed else "look at the log of the system: it names the cause"
            yield Finding("fail", check.__name__.strip("_"), str(error), mend)


def _where_it_is(url: str) -> str:
    holder = _holder()
    if holder.get("url") and holder["url"] != url and _is_alive(holder.get("pid")):
        return f"the system of this data folder listens elsewhere: --url {holder['url']}"
    return "start it: make run"


def _is_alive(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (TypeError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _readiness(client: Any) -> Iterator[Finding]:
    client.get("/health/readiness")
    yield Finding("ok", "ready", "takes jobs")


def _stores(client: Any) -> Iterator[Finding]:
    for store in client.get("/v1/stores")["items"]:
        behind = f", {store['lag']} events behind" if store["lag"] else ""
        late = store["verdict"] == "ok" and (store["lag"] or 0) > LAG_EVENTS
        mend = "it catches up by itself; if the number grows for minutes, see the log of the metrics engine; retention waits for it" if late else ""
        yield Finding("warn" if late else store["verdict"], store["name"], f"{store['kind']}: {store['found']}{behind}", store["mend"] or mend)


def _statistics(client: Any) -> Iterator[Finding]:
    try:
        stats = client.stats()
    except ObservatoryError as error:
        if getattr(error, "status", None) == 503:  # their store is away, which was told above
            return
        raise
    for window in stats["windows"]:
        if window["minutes"] == 60:
            yield from _failing(window["types"])


def _failing(types: dict[str, Any]) -> Iterator[Finding]:
    for name, figures in types.items():
        if figures["failed"] and (figures["failure_rate"] or 0) >= 0.5:
            found = f"{figures['failed']} of {figures['failed'] + figures['succeeded']} jobs failed within the last hour"
            yield Finding("warn", name, found, f"look at one: list --type {name} --state failed --limit 1, then show JOB")


def _clock(client: Any) -> Iterator[Finding]:
    from contracts.times import MICROSECONDS, from_rfc3339

    skew = from_rfc3339(client.get("/v1/queues")["as_of"]) / MICROSECONDS - time.time()
    good = abs(skew) < CLOCK_SECONDS
    mend = "" if good else "set the clocks by NTP; delays and leases are measured by the store's clock, so jobs are safe"
    yield Finding("ok" if good else "warn", "clock", f"the store's clock is {skew:+.1f} s from this machine's", mend)


def _letters(client: Any) -> Iterator[Finding]:
    kept = client.dead_letters(status="kept", limit=100)["items"]
    words = f"{'more than ' if len(kept) == 100 else ''}{len(kept)} kept"
    yield Finding("warn" if kept else "ok", "dead letters", words, "look at them: dead-letters, then dead-letters show LETTER" if kept else "")


def _queues(client: Any) -> Iterator[Finding]:
    for queue in client.queues():
        if queue["paused"] and queue["depth"]:
            words = f"paused by {queue.get('paused_by')} with {queue['depth']} jobs waiting"
            yield Finding("warn", f"queue {queue['name']}", words, f"resume it: POST /v1/queues/{queue['name']}/resume")


def _alerts(client: Any) -> Iterator[Finding]:
    alerts = client.get("/v1/alerts")["items"]
    if not alerts:
        yield Finding("ok", "alerts", "none")
    for alert in alerts:
        yield Finding("warn", "alert", str(alert.get("message") or alert.get("summary") or alert.get("name")))
