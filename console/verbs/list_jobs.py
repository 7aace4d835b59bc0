"""list: jobs that fit a query, newest first."""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from console import exits, timeline
from console.payloads import BadArgument
from console.session import Session
from console.text import Column, Row, duration, state_cell
from console.verbs.arguments import positive
from console.verbs.paging import pages
from console.verbs.queries import checked
from console.verbs.times import now_text
from contracts.job import JobStatus
from contracts.query.fields import names

EXAMPLES = """examples:
  list 'state:failed,retrying type:text.statistics age<1h'
  list 'tag:nightly -state:succeeded' --all --json
  list 'error:"no such file" OR payload.path:README.md'
  list '-queue:bulk duration>2s'
  list 'type:report.monthly state:queued' --all --quiet | observatory cancel -

Terms side by side must all hold; OR between terms, - before a term, parentheses. Words alone are searched in payload,
error and output. Fields: """ + names() + """.
"""
COLUMNS = (
    Column("ID", least=36), Column("TYPE", flexible=True, least=12), Column("STATE", least=9), Column("QUEUE", flexible=True, least=7, drop=4),
    Column("PRI", ">", drop=5), Column("TRY", ">", drop=1), Column("AGE", ">", least=6), Column("RAN", ">", least=6, drop=3),
    Column("NOTE", flexible=True, least=16, drop=2),
)  # fmt: skip


_TERM = "\0"  # stands before an argument that argparse must not take for an option


def parse(parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace) -> argparse.Namespace:
    """Reads the arguments; a query may begin with a minus sign, and `-h` is the only short option."""
    configure(parser)
    marked = [_TERM + text if text[:1] == "-" and text[:2] != "--" and text != "-h" else text for text in argv]
    found = parser.parse_intermixed_args(marked, namespace)
    found.query = [text.removeprefix(_TERM) for text in found.query]
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help="which jobs (all); quote it for the shell")
    filters = parser.add_argument_group("filters (each may hold several values, joined by commas)")
    filters.add_argument("--state", type=_states, help=", ".join(JobStatus))
    for name in ("type", "queue", "tag", "id"):
        filters.add_argument(f"--{name}")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="how many (20)")
    parser.add_argument("--quiet", action="store_true", help="ids alone, a line each: for cancel -, xargs")
    parser.add_argument("--all", action="store_true", dest="everything", help="every job that fits, page by page")


def _states(text: str) -> str:
    unknown = [name for name in text.split(",") if name not in list(JobStatus)]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no state; states are {', '.join(JobStatus)}")
    return text


def run(session: Session, arguments: argparse.Namespace) -> int:
    found = _pages(session, arguments)
    if session.as_json:
        _write_json(found)
        return exits.OK
    if arguments.quiet:
        for page in found:
            for job in page["items"]:
                session.say(job["id"])
        return exits.OK
    shown = more = 0
    for page in found:
        session.table(COLUMNS, [_row(job, now_text()) for job in page["items"]], header=shown == 0)
        shown += len(page["items"])
        more = page.get("next_cursor") is not None
    if not shown:
        session.note("no job fits")
    elif more:
        session.note(f"{shown} shown; there are more: --limit N or --all")
    return exits.OK


def _pages(session: Session, arguments: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    if arguments.everything and arguments.limit != 20:
        raise BadArgument("give --limit or --all, not both")
    left = 10**12 if arguments.everything else arguments.limit
    query = checked(session, " ".join(arguments.query))
    filters = {name: getattr(arguments, name) for name in ("state", "type", "queue", "tag", "id")}
    return pages(lambda limit, cursor: session.client.jobs_page(q=query, **filters, limit=limit, cursor=cursor), left)


def _write_json(pages: Iterator[Mapping[str, Any]]) -> None:
    """One document, written as its pages come, so that a million jobs need no room."""
    write, first = sys.stdout.write, True
    page: Mapping[str, Any] = next(pages, {"items": []})  # before a word is written: it may fail
    write('{"items": [')
    for each in itertools.chain((page,), pages):
        page = each
        for job in page["items"]:
            write(("\n" if first else ",\n") + json.dumps(job))
            first = False
    write(f'\n], "next_cursor": {json.dumps(page.get("next_cursor"))}, "as_of": {json.dumps(page.get("as_of"))}}}\n')


def _row(job: Mapping[str, Any], now: str) -> Row:
    return (
        job["id"], job["type"], state_cell(job["status"]), job["queue"], str(job["priority"]), f"{job['attempt']}/{job['attempts_allowed']}",
        duration(max(timeline.seconds_since(job["created_at"], now), 0.0)), duration(timeline.ran_seconds(job)), _note(job),
    )  # fmt: skip


def _note(job: Mapping[str, Any]) -> str:
    if job["status"] == "running" and job.get("cancel_requested_at"):
        return "cancelling"
    if job["status"] == "running":
        return timeline.progress_line(job.get("progress"))
    if job["status"] in ("failed", "retrying"):
        return timeline.error_line(job.get("error"))
    return job.get("why_waiting") or " ".join(job.get("tags") or ())
