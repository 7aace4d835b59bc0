"""events: what happened, newest first; with --follow, what happens."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.session import Session
from console.text import Column, clean
from console.verbs.times import clock

EXAMPLES = """examples:
  events --type job.failed --limit 5
  events --subject job/JOB
  events --follow --json
"""
COLUMNS = (Column("POSITION", ">", drop=2), Column("TIME", least=8), Column("EVENT", least=13), Column("SUBJECT", least=40),
           Column("WHAT", flexible=True, least=10, drop=1))  # fmt: skip
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", help="event types, joined by commas (job.failed)")
    parser.add_argument("--subject", help="one stream: job/ID, queue/NAME ...")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (20)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens from now, until Ctrl-C")


def run(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.follow:
        return follow(session, arguments.type, arguments.subject)
    page = session.client.events(type=arguments.type, subject=arguments.subject, limit=arguments.limit)
    if session.as_json:
        session.json(page)
        return exits.OK
    session.table(COLUMNS, [(e["position"], clock(e["time"]), timeline.short_name(e["type"]), e["subject"], timeline.detail(e)) for e in page["items"]])
    return exits.OK


def follow(session: Session, types: str | None = None, subject: str | None = None) -> int:
    """Every event from now on, a line each, until the reader leaves."""
    job = subject.removeprefix("job/") if subject is not None and subject.startswith("job/") else None
    for item in session.client.stream(type=types, job=job, patience_seconds=60.0):
        if item.event is None:
            session.note("what lay between is gone from the feed")
        elif subject is None or item.event["subject"] == subject:
            say_event(session, item.event)
    return exits.OK


def say_event(session: Session, event: Document) -> None:
    if session.as_json:
        session.json_line(event)
        return
    session.say(clean(f"{clock(event['time'])}  {timeline.short_name(event['type']):<16}  {event['subject']}  {timeline.detail(event)}".rstrip()))
    session.flush()
