"""events: what happened, newest first; with --follow, what happens."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.payloads import BadArgument
from console.session import Session
from console.text import Column, clean
from console.verbs.arguments import positive
from console.verbs.paging import whole
from console.verbs.queries import checked
from console.verbs.times import clock

EXAMPLES = """With --follow an event is a line as it happens; it goes on over lost connections, without gap or repeat.

examples:
  events --type job.failed --limit 5
  events --subject job/JOB
  events --follow --type job.failed,job.retrying
  events --follow --query 'queue:bulk' --json | jq -c .data
  events --follow --after 12345 --json       every event since that position, then what happens
"""
COLUMNS = (Column("POSITION", ">", drop=2), Column("TIME", least=8), Column("EVENT", least=13), Column("SUBJECT", least=40),
           Column("WHAT", flexible=True, least=10, drop=1))  # fmt: skip
AWAY_SECONDS = 60.0
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--type", help="event types, joined by commas (job.failed)")
    parser.add_argument("--subject", help="one stream: job/ID, queue/NAME ...")
    parser.add_argument("--limit", type=positive, metavar="N", help="how many (20)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens from now, until Ctrl-C")
    parser.add_argument("--query", metavar="QUERY", help="--follow: events of jobs that fit a query")
    parser.add_argument("--after", type=position, metavar="POSITION", help="--follow: begin after this position")


def position(text: str) -> int:
    """The place of an event in the feed; 0 is before the first."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is no position; it is a whole number, as events shows it")
    return int(text)


def run(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.follow:
        if arguments.limit is not None:
            raise BadArgument("--follow has no --limit; it goes on until Ctrl-C")
        return follow(session, arguments.type, arguments.subject, checked(session, arguments.query), arguments.after)
    if arguments.query is not None or arguments.after is not None:
        raise BadArgument("--query and --after belong to --follow")
    found = whole(lambda limit, cursor: session.client.events(type=arguments.type, subject=arguments.subject, limit=limit, cursor=cursor),
                  arguments.limit or 20)  # fmt: skip
    if session.as_json:
        session.json(found)
        return exits.OK
    events = found["items"]
    session.table(COLUMNS, [(e["position"], clock(e["time"]), timeline.short_name(e["type"]), e["subject"], timeline.detail(e)) for e in events])
    if not events:
        session.note("there are no such events")
    return exits.OK


def follow(session: Session, types: str | None = None, subject: str | None = None, query: str | None = None, after: int | None = None) -> int:
    """Every event from now on, or after a position, a line each, until the reader leaves."""
    job = subject.removeprefix("job/") if subject is not None and subject.startswith("job/") else None
    for item in session.client.stream(query, after=after, type=types, job=job, patience_seconds=AWAY_SECONDS):
        if item.event is None:
            session.note("the feed has not all that lay between (any more); it goes on with what there is")
        elif subject is None or item.event["subject"] == subject:
            say_event(session, item.event)
    return exits.OK


def say_event(session: Session, event: Document) -> None:
    if session.as_json:
        session.json_line(event)
        return
    session.say(clean(f"{clock(event['time'])}  {timeline.short_name(event['type']):<16}  {event['subject']}  {timeline.detail(event)}".rstrip()))
    session.flush()
