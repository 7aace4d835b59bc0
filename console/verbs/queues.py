"""queues: what waits where, what holds it, and who takes it; pause and resume."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.session import Session
from console.text import Cell, Column, Row, count, duration
from console.verbs.each import for_each
from console.verbs.times import now_text, since

EXAMPLES = """examples:
  queues
  queues pause bulk --reason "the disk is full"
  queues resume bulk
  queues --json | jq '.items[] | select(.paused)'
"""
COLUMNS = (Column("QUEUE", flexible=True, least=8), Column("QUEUED", ">"), Column("OLDEST", ">"), Column("RUNNING", ">"), Column("LIMIT", ">"),
           Column("RATE", ">", drop=2), Column("WORKER SEEN", ">", drop=1), Column("STATE", flexible=True, least=8))  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="list | pause QUEUE ... | resume QUEUE ...", nargs="*", help="what to do; list is the default")
    parser.add_argument("--reason", help="pause, resume: goes into the log")


def run(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.words or ["list"]
    if words[0] in ("pause", "resume") and len(words) > 1:
        act = session.client.pause_queue if words[0] == "pause" else session.client.resume_queue
        return for_each(session, words[1:], lambda name: act(name, arguments.reason), lambda name, answer: f"{name} {words[0]}d")
    if words != ["list"]:
        session.note("queues takes nothing, list, pause QUEUE ... or resume QUEUE ...")
        return exits.USAGE
    queues = session.client.queues()
    if session.as_json:
        session.json({"items": queues})
    else:
        session.table(COLUMNS, [_row(queue, now_text()) for queue in queues])
    return exits.OK


def _row(queue: Mapping[str, Any], now: str) -> Row:
    limit, rate = queue.get("max_running"), queue.get("rate_per_second")
    oldest = queue.get("oldest_queued_at")
    return (
        queue["name"], count(queue["depth"]), duration(max(timeline.seconds_since(oldest, now), 0.0)) if oldest else "-",
        count(queue["running"]), count(limit) if limit is not None else "-", f"{rate:g}/s" if rate is not None else "-",
        _seen(queue, now), _state(queue),
    )  # fmt: skip


def _seen(queue: Mapping[str, Any], now: str) -> str:
    seen = next((worker["seen_at"] for worker in queue.get("workers_seen", ())), None)
    return since(seen, now) if seen else "never"


def _state(queue: Mapping[str, Any]) -> Cell:
    if not queue.get("paused"):
        return Cell("open")
    by = f" by {queue['paused_by']}" if queue.get("paused_by") else ""
    return Cell(f"paused{by}", "yellow")
