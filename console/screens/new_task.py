"""New task: pick a type, fill in the form made from its schema, submit, and follow the new job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.completion import QUEUES, TASKS
from console.screens.filling import Filling
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import Act, Acted, State, View, Want
from console.widgets.form import Form, Section

SUBMITTED = "submit the form"


class PickTask(Listing):
    name = "new-task"
    title = "New task: pick a type"
    empty = "No task is known."
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
    """A type's payload and the options of a submission."""

    name = "form"
    title = "New task"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (TASKS, QUEUES)

    def _task(self, state: State, view: View) -> Mapping[str, Any] | None:
        return next((task for task in state.items(TASKS) if task["type"] == view.subject), None)

    def begin(self, state: State, view: View) -> Form | None:
        task = self._task(state, view)
        if task is None or state.document(QUEUES) is None:
            return None
        return Form.of((Section("payload", "Payload", task["schema"]), Section("options", "Options", options_schema(state, task))))

    def about(self, state: State, view: View) -> tuple[str, str]:
        task = self._task(state, view)
        if task is None and state.document(TASKS) is not None:
            return view.subject, "There is no such task; Esc goes back."
        return view.subject, str((task or {}).get("description") or "")

    def submit(self, state: State, form: Form) -> Outcome:
        request = {"type": state.view.subject, "payload": form.document("payload")[0], **form.document("options")[0]}
        return state.said("Submitting ...", "dim", 3.0), (Act("POST", "/v1/jobs", request, SUBMITTED, state.view.subject),)

    def acted(self, state: State, message: Acted) -> Outcome | None:
        if message.act.said != SUBMITTED:
            return None
        if message.problem is not None:
            words = "; ".join(f"{pointer} {detail}" for pointer, detail in message.faults)
            return state.said(f"{message.problem} {words}".strip(), "bad", 12.0), ()
        job = message.document
        views = (*(view for view in state.views if view.screen not in ("form", "new-task")), View("job", job["id"]))
        said = "Submitted" if not job.get("deduplicated") else "An equal job was there already"
        return replace(state, views=views).said(f"{said}: {job['id']}"), ()


def options_schema(state: State, task: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a submission that a person sets most, as a schema."""
    queues = [queue["name"] for queue in state.items(QUEUES)] or [task["queue"]]
    return {"type": "object", "properties": {
        "queue": {"type": "string", "enum": queues, "default": task["queue"], "description": "The queue that it waits in."},
        "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": task.get("priority", 4), "description": "9 starts first, 0 last."},
        "delay_seconds": {"type": "number", "minimum": 0, "description": "Not before so many seconds from now."},
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "default": task.get("timeout_seconds"), "description": "How long an attempt may run."},
        "max_attempts": {"type": "integer", "minimum": 1, "default": task.get("max_attempts"), "description": "How often it is tried."},
        "unique_key": {"type": "string", "minLength": 1, "description": "While such a job of this type has not ended, no second one is made."},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Words to find it by."},
    }}  # fmt: skip
