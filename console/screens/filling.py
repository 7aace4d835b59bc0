"""A screen that is a form: faults stand at their fields as one types. Subclasses say which fields, and what submitting does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console import text
from console.keys import Key
from console.screens.screen import Outcome
from console.state import Acted, Pressed, State, View, Want
from console.widgets.canvas import Area
from console.widgets.form import Field, Form


class Filling:
    """A form and a button below it."""

    name = ""
    title = ""
    verb = "Submit"
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
        return ()

    def begin(self, state: State, view: View) -> Form | None:
        """The form, once what it is made from was read."""
        return None

    def about(self, state: State, view: View) -> tuple[str, str]:
        """What the form is for, and a sentence about it."""
        return view.subject, ""

    def submit(self, state: State, form: Form) -> Outcome:
        """What a form without faults does."""
        return state, ()

    def acted(self, state: State, message: Acted) -> Outcome | None:
        return None

    def settle(self, state: State) -> State:
        if state.view.local is None and (form := self.begin(state, state.view)) is not None:
            return state.change(local=form)
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
        return self.submit(state, form)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def draw(self, area: Area, state: State, view: View) -> None:
        form = view.local
        subject, sentence = self.about(state, view)
        area.spans(1, 0, [(f"{self.title} ", "dim"), (subject, "title")])
        area.put(1, 1, sentence, "dim")
        if not isinstance(form, Form):
            area.put(1, 3, "Reading ...", "dim")
            return
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

    def _button(self, area: Area, line: int, form: Form, faults: Mapping[Any, str]) -> None:
        here = form.current is None
        area.put(0, line, f"[ {self.verb} ]", "title@cursor" if here else "dim")
        if faults:
            area.put(12, line, f"{len(faults)} field{'s' * (len(faults) != 1)} to mend", "warn")


def _sentence(entry: Field) -> str:
    kind = {"text": "text", "number": "a number", "flag": "true or false", "choice": "one of " + ", ".join(c for c in entry.choices if c), "json": "JSON",
            "group": "an object", "list": "a list"}[entry.kind]  # fmt: skip
    return f"{entry.label}: {kind}{', required' if entry.required else ''}. {entry.help}"


def _default(entry: Field) -> str:
    import json

    return json.dumps(entry.schema["default"], ensure_ascii=False) if "default" in entry.schema else ""
