"""Log lines as people and as machines get them: whole, harmless, one a line."""

import json
import logging
import sys
from typing import Any

import pytest

from contracts.event import Event
from contracts.log_fields import about
from observability.job_lines import logged, printed
from observability.logs import JsonLines, PeopleLines

JOB = "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(message: str, *arguments: Any, extra: dict[str, Any] | None = None, fault: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("bad\x1b[31m\nnews")
    except ValueError:
        info = sys.exc_info() if fault else None
    return logging.getLogger("observatory.test").makeRecord("observatory.test", logging.WARNING, "f", 1, message, arguments, info, extra=extra)


def ended(kind: str = "succeeded", **data: Any) -> Event:
    return Event({
        "type": f"dev.observatory.job.{kind}.v1", "id": f"job/{JOB}/4", "subject": f"job/{JOB}", "time": "2026-11-25T08:15:00.123456Z",
        "queue": "default", "jobtype": "demo.noop", "attempt": "2",
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "data": {"to": kind, "ran_seconds": 0.25, **data}})  # fmt: skip


def test_a_line_for_machines_is_one_json_object_with_its_ids() -> None:
    text = JsonLines().format(record("an event for %s was put aside\n", "x", extra=about("dead_letter.kept", ended(), trigger="x", nothing=None)))
    assert "\n" not in text
    line = json.loads(text)
    assert line | {"time": ""} == {
        "time": "", "level": "warning", "logger": "observatory.test", "message": "an event for x was put aside\n", "action": "dead_letter.kept",
        "trigger": "x", "event_id": f"job/{JOB}/4", "job_id": JOB, "trace_id": TRACE}  # fmt: skip


def test_a_fault_for_machines_stays_on_its_line() -> None:
    text = JsonLines().format(record("no", fault=True))
    assert "\n" not in text and "ValueError" in json.loads(text)["traceback"]


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\r\nb", "a\x9b1mb", "a\u202eb", "a\x00b"])
def test_a_line_for_people_holds_nothing_that_moves_a_terminal(text: str) -> None:
    line = PeopleLines().format(record("path %s", text))
    assert line.isprintable() and "a" in line and "b" in line


def test_a_fault_for_people_keeps_its_lines_and_nothing_else() -> None:
    lines = PeopleLines().format(record("no", fault=True)).split("\n")
    assert len(lines) > 3 and all(line.isprintable() for line in lines)


def test_attempts_that_ended_are_told_to_people_in_a_line() -> None:
    lines: list[str] = []
    printed(lines.append)([ended(), ended("failed", error={"message": "odd\x1b[31m\nthing"}), ended("started")])
    assert lines == [f"08:15:00.123  succeeded  demo.noop             {JOB}  0.250 s  attempt 2\n"
                     f"08:15:00.123  FAILED     demo.noop             {JOB}  0.250 s  attempt 2  odd [31m thing\n"]  # fmt: skip


def test_attempts_that_ended_are_told_to_machines_with_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "observatory.jobs"):
        logged([ended(), ended("retrying"), ended("queued")])
    found = [(line.action, line.job_id, line.event_id, line.trace_id, line.job_type, line.attempt) for line in caplog.records]  # type: ignore[attr-defined]
    assert found == [(action, JOB, f"job/{JOB}/4", TRACE, "demo.noop", 2) for action in ("job.ended", "job.retrying")]
    assert caplog.records[0].status == "succeeded"  # type: ignore[attr-defined]
