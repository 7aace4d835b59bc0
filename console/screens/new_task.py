"""New task: pick a type, fill in the form made from its schema, submit, and follow the new job."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.messages import Act, Acted, Want
from console.requests import request_of
from console.screens.filling import Filling
from console.screens.job import job_want
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import QUEUES, TASKS
from console.widgets.form import Form, Section
from contracts import strict_json


class PickTask(Listing):
    name = "new-task"
    title = "New task: pick a type"
    empty = "No task is known."
    marking = False
    columns = (
        Column("type", lambda state, task: (task["type"], "title"), 26, sort=lambda task: task["type"]),
        Column("queue", lambda state, task: (task["queue"], "dim"), 12, sort=lambda task: task["queue"]),
        Column("description", lambda state, task: (task.get("description") or "", "dim")),
    )

    def want(self, view: View) -> Want:
        return TASKS

    def identity(self, row: Row) -> str:
        return str(row["type"])

    def source(self, state: State, view: View) -> list[Row]:
        return [task for task in super().source(state, view) if view.query.lower() in f"{task['type']} {task.get('description')}".lower()]

    def open(self, state: State, row: Row) -> Outcome | None:
        return replace(state, views=(*state.views[:-1], View("form", str(row["type"])))), ()


class FormScreen(Filling):
    """A type's payload and the options of a submission; with `source` filled from that job, to be changed."""

    name = "form"
    title = "New task"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (TASKS, QUEUES, *([replace(job_want(view.source), every=0)] if view.source else ()))

    def _task(self, state: State, view: View) -> Mapping[str, Any] | None:
        return next((task for task in state.items(TASKS) if task["type"] == view.subject), None)

    def begin(self, state: State, view: View) -> Form | None:
        task = self._task(state, view)
        if task is None or state.document(QUEUES) is None:
            return None
        sections = (Section("payload", "Payload", task["schema"]), Section("options", "Options", options_schema(state, task)))
        if not view.source:
            return Form.of(sections)
        job = state.document(replace(job_want(view.source), every=0))
        return None if job is None else Form.of(sections, {"payload": job.get("payload") or {}, "options": _options_of(job, sections[1])})

    def about(self, state: State, view: View) -> tuple[str, str]:
        task = self._task(state, view)
        if task is None and state.document(TASKS) is not None:
            return view.subject, "There is no such task; Esc goes back."
        said = f"As job {view.source}, to be changed. " if view.source else ""
        return view.subject, said + str((task or {}).get("description") or "")

    def submit(self, state: State, form: Form) -> Outcome:
        request = {"type": state.view.subject, "payload": form.document("payload")[0], **form.document("options")[0]}
        if state.view.source:
            request["parent_id"] = state.view.source
        act = Act("POST", "/v1/jobs", request, about=state.view.subject, asker=self.name, key=_key(str(state.view.chosen), request))
        return state.said("Submitting ...", "dim", 3.0), (act,)

    def acted(self, state: State, message: Acted) -> Outcome:
        if message.problem is not None:
            return self.refused(state, message, "payload", "/payload")
        job = message.document
        said = "An equal job was there already" if job.get("deduplicated") else "Submitted"
        state = state.said(f"{said}: {job['id']}")
        if state.view.screen != self.name:
            return state, ()
        views = (*(view for view in state.views if view.screen not in ("form", "new-task")), View("job", job["id"]))
        return replace(state, views=views), ()


def _key(form: str, request: Mapping[str, Any]) -> str:
    """One key for what one form sends, so that sending it again after a lost answer makes no second job."""
    return f"console-{form}-{hashlib.sha256(strict_json.dumps_text(request).encode()).hexdigest()[:16]}"


def _options_of(job: Mapping[str, Any], section: Section) -> dict[str, Any]:
    return {name: value for name, value in request_of(job).items() if name in section.schema["properties"]}


def options_schema(state: State, task: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a submission that a person sets most, as a schema."""
    queues = [queue["name"] for queue in state.items(QUEUES)] or [task["queue"]]
    return {"type": "object", "properties": {
        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": task.get("priority", 4), "description": "9 starts first, 0 last."},
        "delay_seconds": {"type": "number", "minimum": 0, "description": "Not before so many seconds from now."},
        "queue": {"type": "string", "enum": queues, "default": task["queue"], "description": "The queue that it waits in."},
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "default": task.get("timeout_seconds"), "description": "How long an attempt may run."},
        "max_attempts": {"type": "integer", "minimum": 1, "default": task.get("max_attempts"), "description": "How often it is tried."},
        "unique_key": {"type": "string", "minLength": 1, "description": "While such a job of this type has not ended, no second one is made."},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Words to find it by."},
    }}  # fmt: skip
