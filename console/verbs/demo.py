"""demo: the main job on real input. Digests and counts every file of Python's standard library on this machine."""

import argparse
import hashlib
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console import exits
from console.api.errors import ObservatoryApiError
from console.embedded import ensure_running, standard_library
from console.session import Session
from console.text import Column, clean, count, duration, size

EXAMPLES = """examples:
  demo
  demo --limit 100 --json
"""
DIGEST, COUNT = "file.digest", "text.statistics"
LOOK_SECONDS = 0.25
LARGEST = 5
ENDED = ("succeeded", "failed", "cancelled")
COLUMNS = (Column("LINES", ">"), Column("WORDS", ">"), Column("BYTES", ">"), Column("SHA-256", least=16), Column("FILE", flexible=True, least=16))
Document = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N files")


def run(session: Session, arguments: argparse.Namespace) -> int:
    files = standard_library()[: arguments.limit]
    ensure_running(session)
    tag = f"demo-{time.time_ns() // 1_000_000:x}"
    session.note(f"submitting {count(2 * len(files))} jobs: {DIGEST} and {COUNT} of {count(len(files))} files below {sysconfig.get_path('stdlib')}")
    began = time.monotonic()
    refused = [a for a in session.client.submit_many(_requests(files, tag)) if isinstance(a, ObservatoryApiError)]
    if refused:
        session.note(clean(f"{len(refused)} jobs were refused; the first: {refused[0]}"))
        return exits.REFUSED
    submitted = time.monotonic() - began
    _follow(session, tag, 2 * len(files))
    took = time.monotonic() - began
    return _report(session, tag, files, submitted, took)


def _requests(files: Sequence[Path], tag: str) -> list[dict[str, Any]]:
    return [{"type": kind, "payload": {"path": str(path)}, "tags": [tag], "queue": "bulk"} for path in files for kind in (DIGEST, COUNT)]


# ---- while they run ---------------------------------------------------------------------------------------------


def _follow(session: Session, tag: str, total: int) -> None:
    """Waits until every job of the demo ended; on a terminal one live line, else a line a second."""
    live = sys.stderr.isatty()
    last_line = 0.0
    began = time.monotonic()
    while True:
        left = _left(session, tag, total)
        done = total - left
        if live or time.monotonic() - last_line >= 1.0 or not left:
            last_line = time.monotonic()
            _say_progress(live, done, total, time.monotonic() - began)
        if not left:
            if live:
                sys.stderr.write("\n")
            return
        time.sleep(LOOK_SECONDS)


def _left(session: Session, tag: str, total: int) -> int:
    """How many jobs of the demo have not ended."""
    left = 0
    for state in ("queued", "running", "retrying", "scheduled"):
        cursor: str | None = None
        while True:
            page = session.client.jobs_page(tag=tag, state=state, limit=500, cursor=cursor)
            left += len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                break
    return min(left, total)


def _say_progress(live: bool, done: int, total: int, seconds: float) -> None:
    width = 32
    filled = width * done // total if total else width
    bar = "#" * filled + "." * (width - filled)
    line = f"[{bar}] {done:,} of {total:,} ended, {done / seconds if seconds else 0:,.0f} jobs/s"
    sys.stderr.write(f"\r{line}\x1b[K" if live else f"{line}\n")
    sys.stderr.flush()


# ---- the result -------------------------------------------------------------------------------------------------


def _report(session: Session, tag: str, files: Sequence[Path], submitted: float, took: float) -> int:
    jobs = list(session.client.jobs(tag=tag, page_size=500))
    found = _by_file(jobs)
    failed = [job for job in jobs if job["status"] != "succeeded"]
    summary = {
        "files": len(files),
        "jobs": len(jobs),
        "failed": len(failed),
        "retries": sum(max(job["attempt"] - 1, 0) for job in jobs),
        **{name: sum(file.get(name, 0) for file in found.values()) for name in ("lines", "words", "bytes")},
        "digest_of_digests": combined_digest(files, found),
        "submit_seconds": round(submitted, 3),
        "seconds": round(took, 3),
        "jobs_per_second": round(len(jobs) / took, 1),
        "url": session.url,
        "tag": tag,
    }
    if session.as_json:
        session.json({**summary, "items": [{"path": str(path), **found.get(str(path), {})} for path in files]})
    else:
        _say(session, summary, files, found, failed)
    return exits.FAILED if failed else exits.OK


def _by_file(jobs: Sequence[Document]) -> dict[str, dict[str, Any]]:
    """path -> lines, words, bytes (of text.statistics) and sha256 (of file.digest)."""
    found: dict[str, dict[str, Any]] = {}
    for job in jobs:
        result = job.get("result") or {}
        file = found.setdefault(job["payload"]["path"], {})
        if job["type"] == DIGEST:
            file["sha256"] = result.get("digest")
        else:
            file.update({name: result.get(name, 0) for name in ("lines", "words", "bytes")})
    return found


def combined_digest(files: Sequence[Path], found: Mapping[str, Document]) -> str:
    """SHA-256 of the lines `DIGEST  PATH`, as `sha256sum FILES | sha256sum` says."""
    lines = "".join(f"{found.get(str(path), {}).get('sha256')}  {path}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _say(session: Session, summary: Document, files: Sequence[Path], found: Mapping[str, Document], failed: Sequence[Document]) -> None:
    largest = sorted(files, key=lambda path: found.get(str(path), {}).get("bytes", 0), reverse=True)[:LARGEST]
    session.heading(f"the {len(largest)} largest of {count(summary['files'])} files")
    session.table(COLUMNS, [
        (count(file.get("lines", 0)), count(file.get("words", 0)), count(file.get("bytes", 0)), (file.get("sha256") or "-")[:16], str(path))
        for path in largest for file in (found.get(str(path), {}),)
    ])  # fmt: skip
    session.say()
    session.say(f"all files   {count(summary['lines'])} lines, {count(summary['words'])} words, {count(summary['bytes'])} bytes ({size(summary['bytes'])})")
    session.say(f"digests     {summary['digest_of_digests']} (sha256sum of the list that sha256sum prints)")
    session.say(f"jobs        {count(summary['jobs'])} ended, {count(summary['failed'])} failed, {count(summary['retries'])} retries")
    session.say(f"time        {duration(summary['seconds'])} from the first submission to the last end ({summary['jobs_per_second']:,.0f} jobs/s)")
    for job in failed[:LARGEST]:
        session.say(clean(f"failed      {job['id']} {job['payload']['path']}: {(job.get('error') or {}).get('message', '')}"))
    session.say()
    session.say(f"The system goes on: {session.url}/ in a browser, list --tag {summary['tag']} on the command line; make stop ends it.")
