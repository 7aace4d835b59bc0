"""stats: how the system stands and how fast it goes."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits
from console.session import Session
from console.text import Column, Row, clean, count, duration, percent, state_cell

EXAMPLES = """examples:
  stats
  stats --json | jq '.windows[0].throughput'
"""
STATES = (Column("STATE"), Column("JOBS", ">"))
WINDOWS = (
    Column("LAST", least=8), Column("ENDED/S", ">"), Column("FAILED", ">"), Column("WAIT p50", ">"), Column("p95", ">"), Column("p99", ">"),
    Column("RUN p50", ">"), Column("p95", ">"), Column("p99", ">"),
)  # fmt: skip
TYPES = (Column("TYPE", flexible=True, least=12), Column("ENDED", ">"), Column("FAILED", ">"), Column("RUN p50", ">"), Column("p99", ">"))
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """It takes no arguments of its own."""


def run(session: Session, arguments: argparse.Namespace) -> int:
    stats = session.client.stats()
    if session.as_json:
        session.json(stats)
        return exits.OK
    session.heading(f"{count(stats['accepted'])} jobs accepted")
    session.table(STATES, [(state_cell(state), count(jobs)) for state, jobs in stats["states"].items() if jobs])
    session.say()
    session.table(WINDOWS, [_window(window) for window in stats["windows"]])
    busiest = [(name, figures) for name, figures in _longest(stats).get("types", {}).items() if _ended(figures)]
    if busiest:
        session.say()
        session.table(TYPES, [_type(name, figures) for name, figures in busiest])
    late = f", {stats['lag']} events behind" if stats["lag"] else ""
    session.note(clean(f"as of {stats['as_of']}{late}"))
    return exits.OK


def _longest(stats: Document) -> Document:
    return max(stats["windows"], key=lambda window: window["minutes"], default={})


def _ended(figures: Document) -> int:
    return int(figures["succeeded"] + figures["failed"] + figures["cancelled"])


def _window(window: Document) -> Row:
    waiting, running = window["waiting_seconds"], window["running_seconds"]
    return (
        f"{window['minutes']} min", f"{window['throughput']:.2f}", percent(window["failure_rate"]),
        *(duration(waiting[part]) for part in ("p50", "p95", "p99")), *(duration(running[part]) for part in ("p50", "p95", "p99")),
    )  # fmt: skip


def _type(name: str, figures: Document) -> Row:
    running = figures["running_seconds"]
    return name, count(_ended(figures)), percent(figures["failure_rate"]), duration(running["p50"]), duration(running["p99"])
