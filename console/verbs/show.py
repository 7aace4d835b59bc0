"""show: everything about one job."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from console import exits, timeline
from console.outcome import error_lines
from console.session import Session
from console.text import STATE_COLOURS, Column, clean, duration, pretty, size, state_cell
from console.verbs.times import instant, now_text

EXAMPLES = """examples:
  show 01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e
  show JOB --json | jq .job.result
"""
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the job's id")


def run(session: Session, arguments: argparse.Namespace) -> int:
    client = session.client
    job: Document = client.job_document(arguments.job)
    events = client.job_events(arguments.job)
    attempts = client.attempts(arguments.job)
    outputs = {str(a["lease_token"]): client.log(arguments.job, a["lease_token"]) for a in attempts if a.get("output_bytes") or a["outcome"] == "running"}
    if session.as_json:
        session.json({"job": job, "events": events, "attempts": attempts, "outputs": outputs})
        return exits.OK
    _head(session, job, events)
    _timeline(session, events)
    _attempts(session, attempts, outputs)
    _body(session, job)
    return exits.OK


def _head(session: Session, job: Document, events: Sequence[Document]) -> None:
    session.say(f"{session.paint(job['id'], 'bold')}  {clean(job['type'])}  {session.paint(job['status'], STATE_COLOURS.get(job['status'], ''))}"
                + ("  (cancelling)" if job.get("cancel_requested_at") and job["status"] == "running" else ""))  # fmt: skip
    for name, value in _facts(job, events):
        session.say(f"  {name:<10}{clean(value)}")


def _facts(job: Document, events: Sequence[Document]) -> list[tuple[str, str]]:
    where = timeline.spent(job, events, now_text())
    times = f"waited {duration(where.waited_seconds)}, ran {duration(where.ran_seconds)}, held back {duration(where.held_seconds)}"
    facts = [
        ("queue", f"{job['queue']}, priority {job['priority']}, attempt {job['attempt']} of {job['attempts_allowed']}, "
                  f"timeout {duration(job['timeout_seconds'])}"),
        ("accepted", f"{instant(job['created_at'])} by {job['actor']}"),
        ("ended" if job.get("finished_at") else "so far", f"{instant(job['finished_at'])}, after {duration(where.total_seconds)}: {times}"
         if job.get("finished_at") else f"{duration(where.total_seconds)}: {times}"),
    ]  # fmt: skip
    optional = {
        "held by": job.get("why_waiting"), "due": instant(job["run_at"]) if job.get("run_at") else None, "tags": " ".join(job.get("tags") or ()),
        "unique": job.get("unique_key"), "parent": job.get("parent_id"), "needs": " ".join(job.get("depends_on") or ()),
        "progress": timeline.progress_line(job.get("progress")), "worker": job.get("worker"), "trace": job.get("traceparent"),
    }  # fmt: skip
    return facts + [(name, str(value)) for name, value in optional.items() if value]


def _timeline(session: Session, events: Sequence[Document]) -> None:
    session.say()
    session.heading("timeline")
    columns = (Column("AFTER", ">", least=9), Column("EVENT"), Column("WAITED", ">", least=7), Column("RAN", ">", least=7),
               Column("WHAT", flexible=True, least=10))  # fmt: skip
    rows = []
    for entry in timeline.entries(events):
        waited, ran = ("" if s is None else duration(s) for s in (entry.waited_seconds, entry.ran_seconds))
        name = entry.name if entry.name not in STATE_COLOURS else state_cell(entry.name)
        rows.append((duration(entry.offset_seconds), name, waited, ran, entry.detail))
    session.table(columns, rows)


def _attempts(session: Session, attempts: Sequence[Document], outputs: Mapping[str, str]) -> None:
    if not attempts:
        return
    session.say()
    session.heading("attempts")
    columns = (Column("CLAIM", ">"), Column("TRY", ">"), Column("OUTCOME"), Column("RAN", ">"), Column("OUTPUT", ">"),
               Column("WORKER", flexible=True, least=10), Column("ERROR", flexible=True, least=10))  # fmt: skip
    session.table(columns, [
        (str(a["lease_token"]), str(a["attempt"]), a["outcome"].replace("_", " "), duration(_ran(a)), size(a.get("output_bytes") or 0),
         a["worker"], timeline.error_line(a.get("error")))
        for a in attempts
    ])  # fmt: skip
    for token, output in outputs.items():
        if not output:
            continue
        session.say()
        session.heading(f"output of claim {token}")
        session.say(clean(output.rstrip("\n"), lines=True))


def _ran(attempt: Document) -> float | None:
    begun = attempt.get("started_at") or attempt.get("claimed_at")
    return max(timeline.seconds_since(begun, attempt["finished_at"]), 0.0) if begun and attempt.get("finished_at") else None


def _body(session: Session, job: Document) -> None:
    parts = [("payload", pretty(job["payload"]))]
    if job["status"] == "succeeded":
        parts.append(("result", pretty(job["result"])))
    if job.get("error"):
        parts.append(("error", "\n".join(error_lines(job["error"]))))
    for name, words in parts:
        session.say()
        session.heading(name)
        session.say(words)
