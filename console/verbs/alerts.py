"""alerts: what deserves attention, and what to do about it."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.session import Session
from console.text import Cell, Column, Row, clean, duration
from console.verbs.times import now_text

EXAMPLES = """examples:
  alerts
  alerts --json | jq -r '.items[] | select(.severity == "critical") | .summary'
  events --type alert.raised,alert.resolved             when alerts began and ended
"""
COLUMNS = (Column("SEVERITY"), Column("STATE"), Column("ALERT", least=12), Column("FOR", ">"), Column("SUMMARY", flexible=True, least=20))


def configure(parser: argparse.ArgumentParser) -> None:
    """It takes no arguments of its own."""


def run(session: Session, arguments: argparse.Namespace) -> int:
    alerts = session.client.alerts()
    if session.as_json:
        session.json({"items": alerts})
        return exits.OK
    session.table(COLUMNS, [_row(alert, now_text()) for alert in alerts])
    for alert in alerts:
        session.note(clean(f"{alert['id']}: {alert['mend']} Evidence: {session.url}{alert['evidence']}"))
    if not alerts:
        session.note("no alert")
    return exits.OK


def _row(alert: Mapping[str, Any], now: str) -> Row:
    style = "red" if alert["severity"] == "critical" else "yellow"
    return (
        Cell(alert["severity"], style), alert["status"], alert["id"], duration(max(timeline.seconds_since(alert["since"], now), 0.0)), alert["summary"],
    )  # fmt: skip
