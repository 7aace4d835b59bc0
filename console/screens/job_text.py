"""What stands in the tabs of a job. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from console import text, timeline
from console.messages import Answer
from console.requests import curl_of, event_of, lacks_secrets
from console.screens.jobs import ago
from console.screens.page import Text, document, facts, heading, wrapped
from console.state import State
from console.theme import STATE_STYLES
from console.widgets.gantt import gantt
from contracts.times import to_micros, to_rfc3339

Document = Mapping[str, Any]
OUTCOMES = {"succeeded": "ok", "failed": "bad", "permanent": "bad", "running": "active"}


def story(
    state: State, job: Document, events: Sequence[Document], attempts: Sequence[Document], steps: Sequence[Document], columns: int
) -> Text:  # fmt: skip
    """What holds it, where its time went, every event, every attempt, the steps that are done, the error, and the facts."""
    lines: Text = []
    if job.get("why_waiting"):
        lines += [[("held by  ", "dim"), (str(job["why_waiting"]), "warn")]]
    error = job.get("error")
    if isinstance(error, Mapping):
        lines += [[("error  ", "dim"), (timeline.error_line(error), "bad" if job["status"] == "failed" else "warn")]]
    bar = gantt(timeline.stretches(events, to_rfc3339(to_micros(state.clock))), min(columns, 100), state.ascii_only)
    lines += ([[]] if lines else []) + ([bar, _legend(state.ascii_only), []] if bar else [])
    lines += [[("timeline", "heading")], *map(_event, timeline.entries(events))]
    if attempts:
        lines += heading("attempts") + [_attempt(attempt, events) for attempt in attempts]
    if steps:
        lines += heading("steps that are done, and not run again") + [_step(step, state.ascii_only) for step in steps]
    if isinstance(error, Mapping) and error.get("traceback"):
        lines += heading("traceback") + wrapped(text.clean(str(error["traceback"]).rstrip(), lines=True), columns)
    return lines + heading("facts") + facts(_facts(state, job, events), columns)


def _legend(ascii_only: bool) -> list[tuple[str, str]]:
    held, waited, ran = (".", "-", "#") if ascii_only else ("·", "░", "█")
    return [(held, "dim"), (" held back  ", "dim"), (waited, "info"), (" waiting for a worker  ", "dim"), (ran, "active"), (" running", "dim")]


def _event(entry: timeline.Entry) -> list[tuple[str, str]]:
    spent = [f"{word} {text.duration(s)}" for word, s in (("waited", entry.waited_seconds), ("ran", entry.ran_seconds)) if s is not None]
    return [
        (text.pad(f"+{text.duration(entry.offset_seconds)}", 10, ">") + "  ", "dim"),
        (text.pad(entry.name, 16), STATE_STYLES.get(entry.name, "")), (text.pad(" ".join(spent), 15), "accent"), (" " + entry.detail, "dim"),
    ]  # fmt: skip


def _attempt(attempt: Document, events: Sequence[Document]) -> list[tuple[str, str]]:
    outcome, error = str(attempt["outcome"]), attempt.get("error")
    told = [data for event in events if (data := event.get("data") or {}).get("lease_token") == attempt["lease_token"]]
    seconds = next((data["ran_seconds"] for data in told if data.get("ran_seconds") is not None), None)
    ran = "" if seconds is None else text.duration(seconds)
    return [
        (f"attempt {attempt['attempt']}".ljust(12), ""), (text.pad(outcome, 12), OUTCOMES.get(outcome, "warn")), (text.pad(ran, 9, ">") + "  ", "accent"),
        (f"lease {attempt['lease_token']}  {text.clean(str(attempt['worker']))}  ", "dim"), (timeline.error_line(error)[:200] if error else "", "bad"),
    ]  # fmt: skip


def _step(step: Document, ascii_only: bool) -> list[tuple[str, str]]:
    return [("+ " if ascii_only else "✓ ", "ok"), (text.clean(str(step["step"])), ""), (f"  {step['bytes']:,} bytes stored", "dim")]


def _facts(state: State, job: Document, events: Sequence[Document]) -> list[tuple[str, str, str]]:
    def at(name: str) -> str:
        return f"{job[name][:19].replace('T', ' ')} ({ago(state, job[name])})" if job.get(name) else ""

    due = job["run_at"][:19].replace("T", " ") if job.get("run_at") and not job.get("started_at") else ""
    return [
        ("accepted", f"{at('created_at')} by {job['actor']}", ""), ("started", at("started_at"), ""), ("ended", at("finished_at"), ""),
        ("due", due, "warn"), ("expires", (job.get("expires_at") or "")[:19].replace("T", " "), "warn"),
        ("timeout", text.duration(job["timeout_seconds"]), ""), ("worker", job.get("worker") or "", ""),
        ("tags", " ".join(job.get("tags") or ()), "accent"), ("unique key", job.get("unique_key") or "", ""),
        ("schedule", job.get("schedule") or "", "accent"), ("trace id", _trace_id(job), "accent"), ("cause", _cause(job, events), ""),
        ("parent", job.get("parent_id") or "", "accent"), ("depends on", " ".join(job.get("depends_on") or ()), "accent"),
    ]  # fmt: skip


def _trace_id(job: Document) -> str:
    """The trace-id of a traceparent (W3C Trace Context, section 3.2)."""
    parts = str(job.get("traceparent") or "").split("-")
    return parts[1] if len(parts) >= 4 else ""


def _cause(job: Document, events: Sequence[Document]) -> str:
    """The event that the client sent, or the event of ours that led to the job."""
    if job.get("source_id"):
        return f"event {job['source_id']} of {job['source']}"
    return str(events[0].get("causation") or "") if events else ""


# ---- the other tabs ---------------------------------------------------------------------------------------------


def output(attempts: Sequence[tuple[Document, Answer]], columns: int) -> Text:
    """What the last attempts printed and logged, the newest last."""
    lines: Text = []
    for attempt, answer in attempts:
        said = answer.document
        lines.append([(f"attempt {attempt['attempt']}", "heading"), (f"  {attempt['outcome']}", OUTCOMES.get(str(attempt["outcome"]), "warn"))])
        if said:
            lines += wrapped(text.clean(said.rstrip("\n"), lines=True), columns)
        else:
            nothing = "Reading ..." if answer.document is None else "Nothing was printed." if attempt.get("finished_at") else "Nothing was printed yet."
            lines.append([(answer.problem or nothing, "bad" if answer.problem else "dim")])
        lines.append([])
    return lines or [[("Not started yet.", "dim")]]


def payload(job: Document, columns: int) -> Text:
    lines: Text = [[("payload", "heading")], *document(job.get("payload"), columns)]
    if job.get("result") is not None:
        lines += heading("result") + document(job["result"], columns)
    if job.get("progress"):
        lines += heading("progress") + document(job["progress"], columns)
    return lines


def request(url: str, job: Document, columns: int) -> Text:
    """The job as a command and as a CloudEvent, to be copied by y and Y, or by the terminal's own means."""
    event = document(json.loads(event_of(job)), columns)
    lacks: Text = [[("Its secrets are not shown: put them where it says <give ... again>.", "warn")]] if lacks_secrets(job) else []
    command = [[("as a command (y copies it)", "heading")], *wrapped(text.clean(curl_of(url, job)), columns)]
    return [*lacks, *command, *heading("as a CloudEvent (Y copies it)"), *event]
