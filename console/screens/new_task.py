"""New task: pick a type, fill in the form made from its schema, submit, and follow the new job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console import text
from console.completion import QUEUES, TASKS
from console.keys import Key
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import Act, Acted, Pressed, State, View, Want
from console.widgets.canvas import Area
from console.widgets.form import Field, Form, Section

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


class FormScreen:
    """A type's payload and the options of a submission; faults stand at their fields as one types."""

    name = "form"
    title = "New task"
    form_keys = (
        Key(("ctrl-s",), "submit", "submit", "Submit the job."),
        Key(("down", "tab", "enter"), "", "next field", "To the next field."),
        Key(("up", "shift-tab"), "", "", "To the field before."),
        Key(("space",), "", "", "Turn a choice or a flag."),
        Key(("+", "-"), "", "", "One item more or less, on a list."),
        Key(("ctrl-d",), "", "", "Remove this item of a list."),
        Key(("esc",), "back", "leave", "Leave the form; nothing is submitted."),
    )

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.form_keys,)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (TASKS, QUEUES)

    def _task(self, state: State, view: View) -> Mapping[str, Any] | None:
        return next((task for task in state.items(TASKS) if task["type"] == view.subject), None)

    def settle(self, state: State) -> State:
        task = self._task(state, state.view)
        if state.view.local is None and task is not None:
            sections = (Section("payload", "Payload", task["schema"]), Section("options", "Options", options_schema(state, task)))
            return state.change(local=Form.of(sections))
        return state

    def typing(self, state: State) -> bool:
        return isinstance(state.view.local, Form)

    def type(self, state: State, message: Pressed) -> Outcome | None:
        form: Form = state.view.local
        if message.key == "ctrl-s" or (message.key in ("enter", "space") and form.current is None):
            return self._submit(state, form)
        if message.key == "esc":
            return None
        changed = form.press(message.key)
        return (state.change(local=changed), ()) if changed is not None else (state, ())

    def paste(self, state: State, pasted: str) -> State:
        return state.change(local=state.view.local.paste(pasted))

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        return (replace(state, views=state.views[:-1]), ()) if command == "back" else None

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        form = state.view.local
        if not isinstance(form, Form) or what not in ("press", "double"):
            return None
        index = y - 3 + self._first(form, state.lines - 6)
        return (state.change(local=replace(form, at=min(index, len(form.fields())))), ()) if index >= 0 else None

    # ---- submitting ---------------------------------------------------------------------------------------------

    def _submit(self, state: State, form: Form) -> Outcome:
        faults = form.faults()
        if faults:
            first = next((i for i, entry in enumerate(form.fields()) if entry.path in faults), form.at)
            return state.change(local=replace(form, at=first)).said(f"{len(faults)} field{'s' * (len(faults) != 1)} to mend first.", "bad"), ()
        options = form.document("options")[0]
        tags = options.pop("tags", None)
        request = {"type": state.view.subject, "payload": form.document("payload")[0], **options}
        if tags:
            request["tags"] = tags
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

    # ---- drawing ------------------------------------------------------------------------------------------------

    def draw(self, area: Area, state: State, view: View) -> None:
        form, task = view.local, self._task(state, view)
        area.spans(1, 0, [("New task ", "dim"), (view.subject, "title")])
        if not isinstance(form, Form):
            known = state.document(TASKS) is not None
            area.put(1, 2, f"There is no task {view.subject}; Esc goes back." if known else "Reading ...", "bad" if known else "dim")
            return
        area.put(1, 1, str((task or {}).get("description") or ""), "dim")
        faults = form.faults()
        body = area.part(1, 3, area.columns - 2, area.lines - 5)
        fields = form.fields()
        first = self._first(form, body.lines)
        for line, entry in enumerate(fields[first : first + body.lines]):
            self._field(body, line, entry, form, faults.get(entry.path), first + line == form.at, state)
        if len(fields) - first < body.lines:
            self._button(body, len(fields) - first, form, faults)
        here = form.current
        help_line = area.part(1, area.lines - 1)
        if here is not None:
            help_line.put(0, 0, _sentence(here), "dim")

    @staticmethod
    def _first(form: Form, lines: int) -> int:
        return max(min(form.at - lines + 2, len(form.fields()) + 1 - lines), 0)

    def _field(self, area: Area, line: int, entry: Field, form: Form, fault: str | None, here: bool, state: State) -> None:
        x = entry.depth * 2
        label = f"{entry.label}{' *' if entry.required and entry.kind != 'group' else ''}"
        names = 24
        area.put(x, line, text.fit(text.clean(label), names - x), "title" if here else "heading" if entry.kind in ("group", "list") else "", names - x)
        room = max(min(area.columns - names - 2, 60), 8)
        self._value(area, line, entry, form, here, names, room)
        touched = form.line(entry.path).text or here or entry.kind == "list"
        if fault is not None:
            area.put(names + room + 2 if area.columns > 100 else names, line, ("" if area.columns > 100 else " " * 12) + fault, "bad" if touched else "faint")

    def _value(self, area: Area, line: int, entry: Field, form: Form, here: bool, x: int, room: int) -> None:
        typed = form.line(entry.path)
        if entry.kind == "list":
            count = form.lengths.get(entry.path, 0)
            area.put(x, line, f"{count} item{'s' * (count != 1)}" + ("   + adds one, - takes one away" if here else ""), "accent" if here else "dim")
        elif entry.kind in ("flag", "choice"):
            shown = typed.text or _default(entry)
            area.put(x, line, f"< {shown} >" if here else shown, "accent" if typed.text else "faint", room)
        elif entry.kind != "group":
            said, caret = replace(typed, text="*" * len(typed.text)).shown(room) if entry.is_secret else typed.shown(room)
            area.put(x, line, text.pad(said or ("" if here else _default(entry)), room), "input@cursor" if here else "" if said else "faint", room)
            if here:
                area.put(x + caret, line, said[caret : caret + 1] or " ", "caret")

    @staticmethod
    def _button(area: Area, line: int, form: Form, faults: Mapping[Any, str]) -> None:
        here = form.current is None
        area.put(0, line, "[ Submit ]", "title@cursor" if here else "dim")
        if faults:
            area.put(12, line, f"{len(faults)} field{'s' * (len(faults) != 1)} to mend", "warn")


def _sentence(entry: Field) -> str:
    kind = {"text": "text", "number": "a number", "flag": "true or false", "choice": "one of " + ", ".join(c for c in entry.choices if c), "json": "JSON",
            "group": "an object", "list": "a list"}[entry.kind]  # fmt: skip
    return f"{entry.label}: {kind}{', required' if entry.required else ''}. {entry.help}"


def _default(entry: Field) -> str:
    import json

    return json.dumps(entry.schema["default"], ensure_ascii=False) if "default" in entry.schema else ""


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
