"""The index page: addresses, counts by state, queues and the last jobs. Plain HTML, everything escaped, no script."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

STYLE = (Path(__file__).resolve().parents[2] / "console" / "web" / "index.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
REFRESH_SECONDS = 5
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
ADDRESSES = (
    ("/v1/jobs", "jobs, newest first"),
    ("/v1/stats", "counts, throughput, failure rate, percentiles"),
    ("/v1/events", "events, newest first"),
    ("/v1/stream", "live events (Server-Sent Events)"),
    ("/v1/queues", "queues"),
    ("/v1/schedules", "schedules, with their last and next runs"),
    ("/v1/tasks", "task types"),
    ("/v1/contracts", "contracts and their schemas"),
    ("/v1/dead-letters", "events that no function could handle"),
    ("/v1/alerts", "alerts"),
    ("/v1/functions", "functions"),
    ("/metrics", "Prometheus metrics"),
    ("/openapi.json", "the API's description"),
)


def index_page(overview: dict[str, Any]) -> str:
    """The page of what `ReadModel.overview` tells."""
    name = escape(overview["name"])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<title>{name} - Distributed Task Observatory</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>Distributed Task Observatory</h1><p>{name} · as of <time>{_clock(overview["as_of"])}</time> UTC</p></header>
<main>
{_alerts(overview["alerts"])}
<section aria-label="Jobs by state"><ul class="states">{"".join(_state(*item) for item in overview["states"].items())}</ul></section>
<section><h2>Last jobs</h2>{_jobs(overview["jobs"])}</section>
<div class="pair">
<section><h2>Queues</h2>{_queues(overview["queues"])}</section>
<section><h2>Addresses</h2><ul class="addresses">{"".join(_address(*item) for item in ADDRESSES)}</ul></section>
</div>
</main>
</body>
</html>
"""


def _state(state: str, count: int) -> str:
    return f'<li class="{state}"><a href="/v1/jobs?state={state}"><b>{count:,}</b> {state}</a></li>'


def _address(path: str, words: str) -> str:
    return f'<li><a href="{path}"><code>{path}</code></a> {words}</li>'


def _alerts(alerts: Sequence[dict[str, Any]]) -> str:
    items = "".join(
        f'<li class="{escape(alert["severity"])}"><b>{escape(alert["severity"])}</b> '
        f'<a href="{escape(alert["evidence"])}">{escape(alert["summary"])}</a></li>'
        for alert in alerts
    )
    return f'<ul class="alerts" aria-label="Alerts">{items}</ul>' if items else ""


def _jobs(jobs: Sequence[dict[str, Any]]) -> str:
    if not jobs:
        return "<p>No job yet. POST one to <code>/v1/jobs</code>.</p>"
    return _table(("State", "Type", "Queue", "Attempt", "Accepted", "Job"), (_job(job) for job in jobs))


def _job(job: dict[str, Any]) -> Iterable[str]:
    status = escape(job["status"])
    note = (job["error"] or {}).get("message") if job["status"] in ("failed", "retrying") else job["why_waiting"]
    title = f' title="{escape(str(note)[:300])}"' if note else ""
    yield f'<span class="badge {status}"{title}>{status}</span>'
    yield escape(job["type"])
    yield escape(job["queue"])
    yield f"{job['attempt']}/{job['attempts_allowed']}"
    yield _clock(job["created_at"])
    yield f'<a href="/v1/jobs/{quote(job["id"])}"><code>{escape(job["id"])}</code></a>'


def _queues(queues: Sequence[dict[str, Any]]) -> str:
    if not queues:
        return "<p>No queue is declared.</p>"
    return _table(("Queue", "Queued", "Running", "Oldest"), (_queue(queue) for queue in queues))


def _queue(queue: dict[str, Any]) -> Iterable[str]:
    paused = ' <span class="badge paused">paused</span>' if queue["paused"] else ""
    limit = f" of {queue['max_running']}" if queue["max_running"] is not None else ""
    age = queue["oldest_age_seconds"]
    yield escape(queue["name"]) + paused
    yield f"{queue['depth']:,}"
    yield f"{queue['running']:,}{limit}"
    yield "" if age is None else f"{age:,.0f} s"


def _table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _clock(instant: str) -> str:
    """`2026-11-24T08:15:00.000000Z` -> `2026-11-24 08:15:00`."""
    return escape(instant[:19].replace("T", " "))
