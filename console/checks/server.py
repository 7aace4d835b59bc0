"""The server that is meant: whether it answers, how its parts are, what it has to say."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from console import environment
from console.checks.finding import FAIL, OK, WARN, Finding, judged
from console.session import Session
from console.text import count
from contracts.errors import ObservatoryError
from contracts.times import MICROSECONDS, from_rfc3339

LAG_EVENTS = 1_000
CLOCK_SECONDS = 5.0
Check = Callable[[Any], Iterator[Finding]]


def examine(session: Session) -> Iterator[Finding]:
    try:
        client, url = session.client, session.url
    except ObservatoryError as error:
        yield Finding(FAIL, "server", str(error), "mend that first; until then no server is asked")
        return
    began = time.monotonic()
    try:
        client.get("/health/liveness")
    except ObservatoryError as error:
        yield Finding(FAIL, "server", str(error), _where_it_is(url, session.server.is_given))
        return
    yield Finding(OK, "server", f"{url} answers in {(time.monotonic() - began) * 1000:.0f} ms ({session.server.origin})")
    for check in CHECKS:
        try:
            yield from check(client)
        except ObservatoryError as error:
            yield Finding(FAIL, check.__name__.strip("_"), str(error), _way_out(error))
            if getattr(error, "status", None) == 401:  # the others would say the same
                return


def _way_out(error: ObservatoryError) -> str:
    if getattr(error, "status", None) in (401, 403):
        return "set OBSERVATORY_API_KEY to a key with the role read, or keep one with: contexts add NAME URL --key"
    return "look at the log of the system: it names the cause"


def _where_it_is(url: str, is_given: bool) -> str:
    holder = _holder()
    if not _is_alive(holder.get("pid")):
        return "start that server, or name another with --url" if is_given else "start it: make run"
    if holder.get("url") in (None, url):
        return f"process {holder['pid']} holds the data folder: it may still start; if it hangs, kill -9 {holder['pid']} loses nothing"
    return f"the system of this data folder listens elsewhere: --url {holder['url']}"


def _holder() -> dict[str, Any]:
    try:
        found = json.loads((environment.data_folder() / "lock").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
    yield Finding(OK, "ready", "takes jobs")


def _stores(client: Any) -> Iterator[Finding]:
    for store in client.get("/v1/stores")["items"]:
        behind = f", {count(store['lag'])} events behind" if store["lag"] else ""
        late = store["verdict"] == OK and (store["lag"] or 0) > LAG_EVENTS
        who = "scheduler" if store["name"] == "broker" else "metrics engine"
        mend = f"it catches up by itself; if the number grows for minutes, see the log of the {who}; retention waits for it" if late else ""
        yield Finding(WARN if late else store["verdict"], store["name"], f"{store['kind']}: {store['found']}{behind}", store["mend"] or mend)


def _clock(client: Any) -> Iterator[Finding]:
    skew = from_rfc3339(client.get("/v1/queues")["as_of"]) / MICROSECONDS - time.time()
    mend = "set the clocks by NTP; delays and leases are measured by the store's clock, so jobs are safe"
    yield judged(abs(skew) < CLOCK_SECONDS, "clock", f"the store's clock is {round(skew, 1) + 0.0:+.1f} s from this machine's", mend, WARN)


def _queues(client: Any) -> Iterator[Finding]:
    for queue in client.queues():
        if queue["paused"] and queue["depth"]:
            words = f"paused by {queue.get('paused_by')} with {count(queue['depth'])} {'job' if queue['depth'] == 1 else 'jobs'} waiting"
            yield Finding(WARN, f"queue {queue['name']}", words, f"queues resume {queue['name']}")


def _alerts(client: Any) -> Iterator[Finding]:
    alerts = client.alerts()
    for alert in alerts:
        yield Finding(FAIL if alert["severity"] == "critical" else WARN, "alert", alert["summary"], alert["mend"])
    if not alerts:
        yield Finding(OK, "alerts", "none")


CHECKS: tuple[Check, ...] = (_readiness, _stores, _clock, _queues, _alerts)
