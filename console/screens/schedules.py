"""Schedules: what each does in words, its last and next runs; run now, pause, edit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import text
from console.keys import Key
from console.messages import Act, Acted, Want
from console.moving import goto
from console.screens.filling import Filling
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View, sure
from console.wants import QUEUES, SCHEDULES, TASKS
from console.widgets.form import Form, Section
from contracts.times import MICROSECONDS, from_rfc3339

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
        "type": {"type": "string", "description": "The task type."},
        "queue": {"type": "string", "description": "The queue; by default the task's own."},
        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "description": "9 starts first, 0 last."},
    },
}
TEMPLATE = ("type", "queue", "priority")
OWN = ("cron", "every_seconds", "timezone", "overlap", "misfires")


def in_time(state: State, instant: str | None) -> str:
    """`in 4 m`, `2 h ago`; a dash for none."""
    if not instant:
        return "-"
    seconds = from_rfc3339(instant) / MICROSECONDS - state.clock
    return f"in {text.age(seconds)}" if seconds >= 1 else "now" if seconds > -1 else f"{text.age(-seconds)} ago"


def _last(state: State, schedule: Row) -> tuple[str, str]:
    if schedule.get("last_skipped_at") and (schedule.get("last_at") or "") < schedule["last_skipped_at"]:
        return f"skipped {in_time(state, schedule['last_skipped_at'])}", "warn"
    status = schedule.get("last_job_status")
    return f"{in_time(state, schedule.get('last_at'))}{f' {status}' if status else ''}", "bad" if status == "failed" else "dim"


def _when_last(state: State, schedule: Row) -> tuple[str, str]:
    """The same without the job's state, which its colour tells."""
    said, style = _last(state, schedule)
    return ("skipped" if said.startswith("skipped") else in_time(state, schedule.get("last_at"))), style


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
        Column("schedule", lambda state, schedule: (schedule["name"], "title"), 22, sort=lambda s: s["name"]),
        Column("when", lambda state, schedule: (schedule["in_words"], ""), sort=lambda s: s["in_words"]),
        Column("task", lambda state, schedule: (schedule["template"]["type"], "dim"), 18, least=100),
        Column("next", lambda state, schedule: _next(state, schedule), 16, sort=lambda s: s.get("next_at") or "~"),
        Column("last", lambda state, schedule: _when_last(state, schedule), 13, below=90),
        Column("last", lambda state, schedule: _last(state, schedule), 24, least=90, sort=lambda s: s.get("last_at") or ""),
        Column("by", lambda state, schedule: (schedule["declared_by"], "dim"), 7, least=140),
    )

    def want(self, view: View) -> Want:
        return SCHEDULES

    def identity(self, row: Row) -> str:
        return str(row["name"])

    def source(self, state: State, view: View) -> list[Row]:
        return [row for row in super().source(state, view) if view.query.lower() in f"{row['name']} {row['in_words']} {row['template']['type']}".lower()]

    def open(self, state: State, row: Row) -> Outcome | None:
        return goto(state, "jobs", query=f"schedule:{row['name']}"), ()

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
        body: dict[str, Any] | None = None if command == "delete" else {}
        acts = tuple(Act(method, path(row["name"], "" if command == "delete" else command), body, past, str(row["name"])) for row in rows)
        return replace(state, question=sure(f"{command.capitalize()} {names}?", acts)), ()


def path(name: Any, action: str = "") -> str:
    return f"/v1/schedules/{quote(str(name), safe='')}{'/' + action if action else ''}"


class ScheduleForm(Filling):
    """A schedule's fields, and the payload by the schema of its task; `subject` is the one that is changed, none for a new one."""

    name = "schedule"
    title = "Schedule"
    verb = "Save"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (SCHEDULES, TASKS, QUEUES)

    @staticmethod
    def _found(state: State, view: View) -> Row | None:
        return next((row for row in state.items(SCHEDULES) if row["name"] == view.subject), None)

    def begin(self, state: State, view: View) -> Form | None:
        if any(state.document(want) is None for want in self.wants(state, view)):
            return None
        found = self._found(state, view)
        if found is None:
            return Form.of(_sections(state, ""))
        documents = {"schedule": filled(found), "payload": found["template"].get("payload") or {}}
        return Form.of(_sections(state, str(found["template"]["type"])), documents)

    def settle(self, state: State) -> State:
        """The payload's fields follow the task that is chosen."""
        state = super().settle(state)
        form = state.view.local
        if not isinstance(form, Form):
            return state
        sections = _sections(state, form.line(("schedule", "type")).text)
        return state if sections[1].schema == form.sections[1].schema else state.change(local=replace(form, sections=sections))

    def about(self, state: State, view: View) -> tuple[str, str]:
        found = self._found(state, view)
        return view.subject or "new", found["in_words"] if found else "A cron expression, or so many seconds; and the job that it makes."

    def submit(self, state: State, form: Form) -> Outcome:
        given, found = form.document("schedule")[0], self._found(state, state.view)
        template = {**(found["template"] if found else {}), **{name: given[name] for name in TEMPLATE if name in given}}
        body = {name: given[name] for name in OWN if name in given} | {"template": {**template, "payload": form.document("payload")[0]}}
        act = Act("PUT", path(given["name"]), body, about=given["name"], asker=self.name)
        return state.said("Saving ...", "dim", 3.0), (act,)

    def acted(self, state: State, message: Acted) -> Outcome:
        if message.problem is not None:
            return self.refused(state, message, "schedule")
        state = state.said(f"{message.act.about} is saved: {message.document.get('in_words', '')}")
        return (replace(state, views=state.views[:-1]) if state.view.screen == self.name else state), ()


def _sections(state: State, task_type: str) -> tuple[Section, Section]:
    task = next((task for task in state.items(TASKS) if task["type"] == task_type), None)
    types, queues = [task["type"] for task in state.items(TASKS)], [queue["name"] for queue in state.items(QUEUES)]
    fields = {**SCHEMA["properties"], "type": {**SCHEMA["properties"]["type"], "enum": types}, "queue": {**SCHEMA["properties"]["queue"], "enum": queues}}
    payload = task["schema"] if task is not None else {"type": "object"}
    return Section("schedule", "Schedule", {**SCHEMA, "properties": fields}), Section("payload", "Payload", payload)


def filled(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule's document as the form has it, without the payload; an interval's time zone means nothing and is refused."""
    template = schedule["template"]
    own = {name: schedule[name] for name in ("name", *OWN) if schedule.get(name) is not None and (name != "timezone" or schedule.get("cron"))}
    return own | {name: template[name] for name in TEMPLATE if name in template}
