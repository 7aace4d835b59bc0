"""queues: what waits where, and what holds it."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.session import Session
from console.text import Cell, Column, Row, count, duration
from console.verbs.times import now_text

EXAMPLES = """examples:
  queues
  queues --json | jq '.items[] | select(.paused)'
"""
COLUMNS = (Column("QUEUE"), Column("QUEUED", ">"), Column("OLDEST", ">"), Column("RUNNING", ">"), Column("LIMIT", ">"),
           Column("RATE", ">"), Column("STATE", flexible=True, least=8))  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """It takes no arguments of its own."""


def run(session: Session, arguments: argparse.Namespace) -> int:
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
        count(queue["running"]), count(limit) if limit is not None else "-", f"{rate:g}/s" if rate is not None else "-", _state(queue),
    )  # fmt: skip


def _state(queue: Mapping[str, Any]) -> Cell:
    if not queue.get("paused"):
        return Cell("open")
    by = f" by {queue['paused_by']}" if queue.get("paused_by") else ""
    return Cell(f"paused{by}", "yellow")
