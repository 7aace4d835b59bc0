"""What a running system says: JSON with known actions where nobody looks, a few words for people where somebody does."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.architecture.test_log_lines import documented
from tests.support.system import ROOT, System

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_elsewhere_every_line_is_json_with_a_known_action_and_the_ids(tmp_path: Path) -> None:
    with System(tmp_path / "data", OBSERVATORY_QUIET="0") as system:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = system.request("POST", "/v1/jobs?wait=20", {"type": "demo.noop", "payload": {"echo": "do-not-log-me"}}, headers).json()
        system.request("GET", "/v1/jobs?q=do-not-log-me")
    said = system.said()
    lines = [json.loads(line) for line in said.splitlines()]
    assert {line["action"] for line in lines} <= set(documented())
    assert [line["action"] for line in lines] == ["system.started", "job.ended", "system.stopping", "system.stopped"]
    ended = lines[1]
    assert (ended["job_id"], ended["trace_id"], ended["status"], ended["job_type"]) == (answer["id"], TRACE, "succeeded", "demo.noop")
    events = {event["id"]: event for event in stored_events(tmp_path / "data", answer["id"])}
    assert events[ended["event_id"]]["type"] == "dev.observatory.job.succeeded.v1"
    assert "do-not-log-me" not in said


def stored_events(data: Path, job_id: str) -> list[dict]:
    """A job's events, read from the file."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"file:{data}/observatory.db?mode=ro", uri=True)) as connection:
        return [json.loads(body) for (body,) in connection.execute("SELECT body FROM events WHERE stream = ?", (f"job/{job_id}",))]


def test_at_a_terminal_a_person_reads_words(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    others = {name: value for name, value in os.environ.items() if not name.startswith("OBSERVATORY_")}
    environment = {**others, "OBSERVATORY_DATA": str(tmp_path / "data"), "OBSERVATORY_PORT": "0"}
    command = [sys.executable, "-m", "functions.runtime.local"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            watch(process, ours, tmp_path / "data")
        finally:
            process.kill()
            os.close(ours)


def watch(process: subprocess.Popen[bytes], ours: int, data: Path) -> None:
    text = read_until(ours, "Stop with Ctrl-C")
    url = re.search(r"look +(http://\S+?)/ ", text)
    assert url is not None and "is running" in text
    system = System(data)
    system.url = url[1]
    system.request("POST", "/v1/jobs?wait=20", {"type": "demo.noop", "payload": {}})
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3}  succeeded  demo\.noop  +[0-9a-f-]{36}  \d+\.\d{3} s", read_until(ours, " s\r\n"))
    process.terminate()
    assert "Everything accepted is in the data folder" in read_until(ours, "data folder")
    assert process.wait(20) == 0


def read_until(terminal: int, words: str, seconds: float = 30) -> str:
    """What a terminal shows until these words, and the rest of their line."""
    text, deadline = "", time.monotonic() + seconds
    while words not in text:
        assert time.monotonic() < deadline, text
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 65_536).decode(errors="replace")
    return text
