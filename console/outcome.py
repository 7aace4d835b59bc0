"""How an ended job is told, and which exit code it makes."""

from collections.abc import Iterable, Mapping
from typing import Any

from console import exits, timeline
from console.session import Session
from console.text import STATE_COLOURS, clean, duration, pretty


def exit_code(jobs: Iterable[Mapping[str, Any]]) -> int:
    """FAILED when one failed, else CANCELLED when one was cancelled, else OK."""
    states = {job["status"] for job in jobs}
    return exits.FAILED if "failed" in states else exits.CANCELLED if "cancelled" in states else exits.OK


def report(session: Session, job: Mapping[str, Any]) -> None:
    """An ended job: its result on standard output, all else beside it; with --json the whole job."""
    if session.as_json:
        session.json(job)
        return
    ran = timeline.ran_seconds(job)
    took = f" in {duration(ran)}" if ran is not None else ""
    attempts = f" at attempt {job['attempt']}" if job.get("attempt", 0) > 1 else ""
    session.note(f"{job['id']} {session.paint(job['status'], STATE_COLOURS.get(job['status'], ''))}{took}{attempts}")
    if job["status"] == "succeeded":
        session.say(pretty(job.get("result")))
    else:
        for line in error_lines(job.get("error")):
            session.note(line)


def error_lines(error: Mapping[str, Any] | None) -> list[str]:
    """An error with its traceback, harmless on a terminal."""
    if not error:
        return []
    lines = clean(f"{error.get('type', 'error')}: {error.get('message', '')}", lines=True).split("\n")
    return lines + clean((error.get("traceback") or "").rstrip(), lines=True).split("\n") if error.get("traceback") else lines
