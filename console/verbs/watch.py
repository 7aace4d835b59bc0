"""watch: follows jobs to their end; without a job, all that happens."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits, timeline
from console.outcome import exit_code, report
from console.session import Session
from console.text import clean
from console.verbs.events import follow

EXAMPLES = """The exit code is 1 when one of the jobs failed, 7 when one was cancelled.

examples:
  watch JOB
  watch JOB JOB --json
  watch                        everything, until Ctrl-C
"""
ENDED = ("succeeded", "failed", "cancelled")
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="ids; none: everything that happens")


def run(session: Session, arguments: argparse.Namespace) -> int:
    if not arguments.jobs:
        return follow(session)
    client = session.client
    after = int(client.stats()["head"])  # before the jobs are read: what ends meanwhile is in the stream
    jobs = {job_id: client.job_document(job_id) for job_id in dict.fromkeys(arguments.jobs)}
    open_jobs = {job_id for job_id, job in jobs.items() if job["status"] not in ENDED}
    if open_jobs:
        for item in client.stream(after=after, job=",".join(sorted(open_jobs)), patience_seconds=60.0):
            if item.event is not None:
                _say(session, item.event, len(jobs) > 1)
            open_jobs -= _ended_by(session, item.event, open_jobs)
            if not open_jobs:
                break
    ended = [client.job_document(job_id) for job_id in jobs]
    for job in ended:
        _end(session, job)
    return exit_code(ended)


def _ended_by(session: Session, event: Document | None, open_jobs: set[str]) -> set[str]:
    """Which open jobs are over: by the event, or after a gap in the stream by asking."""
    if event is None:
        return {job_id for job_id in open_jobs if session.client.job_document(job_id)["status"] in ENDED}
    return {event["subject"].removeprefix("job/")} & open_jobs if event["data"].get("to") in ENDED else set()


def _say(session: Session, event: Document, named: bool) -> None:
    if session.as_json:
        return
    which = f"{event['subject'].removeprefix('job/')}  " if named else ""
    if event["type"].endswith("job.progressed.v1"):
        words = timeline.progress_line(event["data"]["progress"])
    else:
        words = f"{timeline.short_name(event['type'])}  {timeline.detail(event)}"
    session.note(clean(f"{which}{words}".rstrip()))


def _end(session: Session, job: Document) -> None:
    if not session.as_json:
        attempts = session.client.attempts(job["id"])
        if attempts and attempts[-1].get("output_bytes"):
            session.note(clean(session.client.log(job["id"], attempts[-1]["lease_token"]).rstrip("\n"), lines=True))
    report(session, job)


__all__ = ["EXAMPLES", "configure", "exits", "run"]
