"""Schedules: what each does in words, its last and next runs; run now, pause, edit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import text
from console.completion import TASKS
from console.keys import Key
from console.moving import goto
from console.screens.filling import Filling
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import Act, Acted, Question, State, View, Want
from console.widgets.form import Form, Section
from contracts.times import MICROSECONDS, from_rfc3339

SCHEDULES = Want("/v1/schedules", every=2.0)
SAVED = "save the schedule"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "type"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "description": "Its name: letters, digits, points and dashes."},
        "cron": {"type": "string", "description": "Five fields: minute, hour, day, month, weekday. Either this or every."},
        "every_seconds": {"type": "number", "exclusiveMinimum": 0, "description": "So many seconds from one run to the next."},
        "timezone": {"type": "string", "default": "UTC", "description": "Of the cron expression, such as Europe/Oslo."},
        "overlap": {"type": "string", "enum": ["skip", "queue"], "default": "skip", "description": "While the last job has not ended: skip, or queue another."},
        "misfires": {"type": "string", "enum": ["one", "all", "none"], "default": "one", "description": "Runs that were missed: one, all or none of them."},
        "type": {"type": "string", "minLength": 1, "description": "The task type."},
        "payload": {"type": "object", "description": "The payload, as JSON."},
        "queue": {"type": "string", "description": "The queue; by default the task's own."},
        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "description": "9 starts first, 0 last."},
    },
}
OWN = ("cron", "every_seconds", "timezone", "overlap", "misfires")


def in_time(state: State, instant: str | None) -> str:
    """`in 4 m`, `2 h ago`; a dash for none."""
    if not instant:
        return "-"
    seconds = round(from_rfc3339(instant) / MICROSECONDS - state.wall)
    return f"in {text.duration(seconds)}" if seconds >= 0 else f"{text.duration(-seconds)} ago"


def _last(state: State, schedule: Row) -> tuple[str, str]:
    if schedule.get("last_skipped_at") and (schedule.get("last_at") or "") < schedule["last_skipped_at"]:
        return f"skipped {in_time(state, schedule['last_skipped_at'])}", "warn"
    status = schedule.get("last_job_status")
    return f"{in_time(state, schedule.get('last_at'))}{f' {status}' if status else ''}", "bad" if status == "failed" else "dim"


def _next(state: State, schedule: Row) -> tuple[str, str]:
    return (f"paused by {schedule.get('paused_by')}", "warn") if schedule["paused"] else (in_time(state, schedule.get("next_at")), "accent")


class Schedules(Listing):
    name = "schedules"
    title = "Schedules"
    empty = "No schedule yet. n makes one."
    extra = (
        Key(("x",), "run", "run now", "Run it now, besides its times."),
        Key(("p",), "pause", "pause", "Pause it: it does not run."),
        Key(("u",), "resume", "resume", "Resume it."),
        Key(("e",), "edit", "edit", "Change it."),
        Key(("n",), "new", "new", "Make a schedule."),
        Key(("d",), "delete", "delete", "Delete it."),
        Key(("J",), "job", "last job", "Open the last job that it made."),
    )
    columns = (
        Column("schedule", lambda state, schedule: (schedule["name"], "title"), 18, sort=lambda s: s["name"]),
        Column("when", lambda state, schedule: (schedule["in_words"], ""), sort=lambda s: s["in_words"]),
        Column("task", lambda state, schedule: (schedule["template"]["type"], "dim"), 18, least=100),
        Column("next", lambda state, schedule: _next(state, schedule), 22, sort=lambda s: s.get("next_at") or "~"),
        Column("last", lambda state, schedule: _last(state, schedule), 26, least=90, sort=lambda s: s.get("last_at") or ""),
        Column("by", lambda state, schedule: (schedule["declared_by"], "faint"), 7, least=120),
    )

    def want(self, view: View) -> Want:
        return SCHEDULES

    def identity(self, row: Row) -> str:
        return str(row["name"])

    def source(self, state: State, view: View) -> list[Row]:
        return [row for row in super().source(state, view) if view.query.lower() in f"{row['name']} {row['in_words']} {row['template']['type']}".lower()]

    def open(self, state: State, row: Row) -> Outcome | None:
        return goto(state, "jobs", query=f"schedule:{row['name']}", cursor=0, top=0, chosen=None), ()

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "new":
            return state.opened(View("schedule")), ()
        return super().command(state, command, key)

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if not rows or command not in ("run", "pause", "resume", "edit", "delete", "job"):
            return None
        if command == "edit":
            return state.opened(View("schedule", str(rows[0]["name"]))), ()
        if command == "job":
            last = rows[0].get("last_job_id")
            return (state.opened(View("job", last)), ()) if last else (state.said("It has made no job yet.", "dim", 2.0), ())
        names = ", ".join(str(row["name"]) for row in rows)
        past = {"run": "was run", "pause": "is paused", "resume": "goes on", "delete": "is deleted"}[command]
        method = "DELETE" if command == "delete" else "POST"
        acts = tuple(Act(method, path(row["name"], "" if command == "delete" else command), None if command == "delete" else {}, f"{row['name']} {past}",
                         f"{command} {row['name']}") for row in rows)  # fmt: skip
        return replace(state, question=Question(f"{command.capitalize()} {names}?", acts)), ()


def path(name: Any, action: str = "") -> str:
    return f"/v1/schedules/{quote(str(name), safe='')}{'/' + action if action else ''}"


class ScheduleForm(Filling):
    """A schedule's fields; `subject` is the one that is changed, none for a new one."""

    name = "schedule"
    title = "Schedule"
    verb = "Save"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (SCHEDULES, TASKS)

    def begin(self, state: State, view: View) -> Form | None:
        if state.document(SCHEDULES) is None:
            return None
        section = (Section("schedule", "Schedule", SCHEMA),)
        found = next((row for row in state.items(SCHEDULES) if row["name"] == view.subject), None)
        return Form.of(section, {"schedule": filled(found)}) if found is not None else Form.of(section)

    def about(self, state: State, view: View) -> tuple[str, str]:
        found = next((row for row in state.items(SCHEDULES) if row["name"] == view.subject), None)
        return view.subject or "new", found["in_words"] if found else "A cron expression, or so many seconds; and the job that it makes."

    def submit(self, state: State, form: Form) -> Outcome:
        given = form.document("schedule")[0]
        template = {name: given[name] for name in ("type", "payload", "queue", "priority") if name in given}
        body = {name: given[name] for name in OWN if name in given} | {"template": {"payload": {}, **template}}
        return state.said("Saving ...", "dim", 3.0), (Act("PUT", path(given["name"]), body, SAVED, given["name"]),)

    def acted(self, state: State, message: Acted) -> Outcome | None:
        if message.act.said != SAVED:
            return None
        if message.problem is not None:
            words = "; ".join(f"{pointer} {detail}" for pointer, detail in message.faults)
            return state.said(f"{message.problem} {words}".strip(), "bad", 12.0), ()
        return replace(state, views=state.views[:-1]).said(f"{message.act.about} is saved: {message.document.get('in_words', '')}"), ()


def filled(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule's document as the form has it; the payload as JSON text of one field."""
    template = schedule["template"]
    own = {name: schedule[name] for name in ("name", *OWN) if schedule.get(name) is not None}
    return own | {name: template[name] for name in ("type", "payload", "queue", "priority") if name in template}
