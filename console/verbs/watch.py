"""watch: follows jobs to their ends; a query, or all that happens, until Ctrl-C."""

import argparse
import re

from console.outcome import exit_code, report
from console.payloads import BadArgument
from console.session import Session
from console.text import clean
from console.verbs.arguments import span
from console.verbs.events import follow as follow_events
from console.verbs.queries import checked

EXAMPLES = """It tells every event, progress and what the handler prints as it comes (embedded; on a cluster when an attempt has ended).
The result goes to standard output, all else to standard error. Exit code 1 when one of the jobs failed, 7 when one was cancelled, 6
when the time was up.

examples:
  watch JOB
  watch JOB JOB --timeout 10m
  watch JOB --json                       the job once it ended; of several an object with "items"
  watch 'type:text.statistics tag:demo-life'    events of jobs that fit a query
  watch                                  everything, until Ctrl-C
"""
JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB | QUERY", nargs="*", help="ids of jobs, or a query; none: everything that happens")
    parser.add_argument("--timeout", type=span, metavar="SPAN", help="of jobs: give up after so long: 30s, 10m")


def run(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.jobs
    if arguments.timeout is not None and not (words and all(map(JOB.fullmatch, words))):
        raise BadArgument("--timeout belongs to ids of jobs; a query, or everything, is watched until Ctrl-C")
    if not all(map(JOB.fullmatch, words)):
        if any(map(JOB.fullmatch, words)):
            raise BadArgument("watch takes ids of jobs or a query, not both; in a query an id is written id:JOB")
        query = checked(session, " ".join(words))
        session.note(clean(f"Events of jobs that fit {query}, as they come, until Ctrl-C."))
        return follow_events(session, query=query)
    if not words:
        return follow_events(session)
    from console.following import follow

    jobs = follow(session, words, arguments.timeout)
    if session.as_json:
        session.json(jobs[0] if len(words) == 1 else {"items": jobs})
    else:
        for job in jobs:
            report(session, job)
    return exit_code(jobs)
