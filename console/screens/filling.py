"""A screen that is a form: faults stand at their fields as one types. Subclasses say which fields, and what submitting does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from console import text
from console.keys import Key
from console.messages import Acted, Pressed, Want
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets.canvas import Area
from console.widgets.fields import Field
from console.widgets.form import Form

NAMES = 24  # columns of the fields' names
TOP, BOTTOM = 3, 3  # lines above and below the fields
FORM_KEYS = (
    Key(("ctrl-s",), "submit", "submit", "Submit the form, from any field."),
    Key(("down", "tab", "enter"), "", "next field", "To the next field."),
    Key(("up", "shift-tab"), "", "", "To the field before."),
    Key(("space",), "", "", "Turn a choice or a flag; one item more, on a list."),
    Key(("+", "-"), "", "", "One item more or less, on a list."),
    Key(("ctrl-d",), "", "", "Remove this item of a list."),
    Key(("ctrl-t",), "", "", "The empty text is meant here, or no longer; a field left empty is left out."),
    Key(("esc",), "back", "leave", "Leave the form; nothing is submitted."),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the form: a section's title, a field of an index, or the button, which comes after the last field."""

    title: str = ""
    index: int = -1
    entry: Field | None = None


class Filling:
    """A form and a button below it."""

    name = ""
    title = ""
    without: Sequence[str] = ()
    verb = "Submit"

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (FORM_KEYS,)

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

    # ---- Screen -------------------------------------------------------------------------------------------------

    def settle(self, state: State) -> State:
        if state.view.local is None and (form := self.begin(state, state.view)) is not None:
            return replace(state, counted=state.counted + 1).change(local=form, chosen=f"{state.session}-{state.counted + 1}")
        return state

    def typing(self, state: State) -> bool:
        return isinstance(state.view.local, Form)

    def type(self, state: State, message: Pressed) -> Outcome | None:
        form: Form = state.view.local
        if message.key == "ctrl-s" or (message.key in ("enter", "space") and form.current is None):
            return self._submit(state, form)
        if message.key in ("esc", "f1"):
            return None
        changed = form.press(message.key)
        return (state.change(local=changed), ()) if changed is not None else (state, ())

    def paste(self, state: State, pasted: str) -> State:
        return state.change(local=state.view.local.paste(pasted))

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        return (replace(state, views=state.views[:-1]), ()) if command == "back" and len(state.views) > 1 else None

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        form = state.view.local
        if not isinstance(form, Form):
            return None
        if what in ("wheel-up", "wheel-down"):
            return state.change(local=form.press("down" if what == "wheel-down" else "up") or form), ()
        lines = _lines(form)
        place = y - TOP + _first(form, lines, state.lines - 2 - TOP - BOTTOM)
        if y < TOP or not 0 <= place < len(lines) or lines[place].title:
            return None
        if lines[place].entry is None:
            return self._submit(state, form)
        return state.change(local=replace(form, at=lines[place].index)), ()

    def _submit(self, state: State, form: Form) -> Outcome:
        faults = form.faults()
        if faults:
            first = next((i for i, entry in enumerate(form.fields()) if entry.path in faults), form.at)
            return state.change(local=replace(form, at=first)).said(f"{_many(len(faults))} to mend first.", "bad"), ()
        return self.submit(state, form)

    def refused(self, state: State, message: Acted, section: str, below: str = "") -> Outcome:
        """A refusal with its faults at the fields that they are about; `below` is where the section stands in the request."""
        form = state.view.local
        words = [f"{pointer} {detail}".strip() for pointer, detail in message.faults]
        if state.view.screen == self.name and isinstance(form, Form):
            inner = [(pointer.removeprefix(below), detail) for pointer, detail in message.faults]
            form, words = form.with_refusal(section, inner)
            state = state.change(local=form)
        return state.said(f"{message.problem} {'; '.join(words)}".strip(), "bad", 12.0), ()

    # ---- drawing ------------------------------------------------------------------------------------------------

    def draw(self, area: Area, state: State, view: View) -> None:
        form = view.local
        subject, sentence = self.about(state, view)
        area.spans(1, 0, [(f"{self.title} ", "dim"), (subject, "title")])
        area.put(1, 1, sentence, "dim")
        if not isinstance(form, Form):
            area.put(1, 3, "" if sentence else "Reading ...", "dim")
            return
        faults = form.faults()
        body = area.part(1, TOP, area.columns - 2, area.lines - TOP - BOTTOM)
        lines = _lines(form)
        first = _first(form, lines, body.lines)
        for y, line in enumerate(lines[first : first + body.lines]):
            if line.title:
                body.put(0, y, line.title, "heading")
            elif line.entry is None:
                self._button(body, y, form, faults)
            else:
                _field(body, y, line.entry, form, faults.get(line.entry.path), line.index == form.at)
        _foot(area.part(1, area.lines - 2, area.columns - 2), form, faults)
        if len(lines) > body.lines:
            area.right(1, [(f"{min(first + body.lines, len(lines))}/{len(lines)}", "dim")], 1)

    def _button(self, area: Area, y: int, form: Form, faults: Mapping[Any, str]) -> None:
        area.put(0, y, f"[ {self.verb} ]", "title@cursor" if form.current is None else "accent")
        if faults:
            area.put(len(self.verb) + 6, y, f"{_many(len(faults))} to mend", "warn")


def _many(number: int) -> str:
    return f"{number} field{'s' * (number != 1)}"


def _lines(form: Form) -> list[Line]:
    """The fields under the titles of their sections, and the button."""
    lines: list[Line] = []
    titles = {section.name: section.title for section in form.sections}
    for index, entry in enumerate(form.fields()):
        title = titles.pop(str(entry.path[0]), "")
        if title and len(form.sections) > 1:
            lines += ([Line()] if lines else []) + [Line(title)]
        lines.append(Line("", index, entry))
    return [Line(" ") if line == Line() else line for line in lines] + [Line()]


def _first(form: Form, lines: Sequence[Line], room: int) -> int:
    """The first line that is shown, so that the current field is, with one line after it."""
    here = next((at for at, line in enumerate(lines) if line.entry is not None and line.index == form.at), len(lines) - 1)
    return max(min(here - room + 2, len(lines) - room), 0)


def _field(area: Area, y: int, entry: Field, form: Form, fault: str | None, here: bool) -> None:
    x = min(entry.depth * 2, NAMES - 8)
    required = (entry.required and entry.kind != "group") or entry.path in form.hidden
    label = f"{text.clean(entry.label)}{' *' if required else ''}"
    area.put(x, y, text.fit(label, NAMES - x - 1), "title" if here else "info" if entry.kind in ("group", "list") else "", NAMES - x)
    room = max(min((area.columns - NAMES) * 6 // 10, 60), 10)
    _value(area, y, entry, form, here, room)
    if fault is not None:
        touched = form.line(entry.path).text or here or entry.kind == "list" or entry.path in form.refused or entry.path in form.hidden
        area.put(NAMES + room + 1, y, fault, "bad" if touched else "dim")


def _value(area: Area, y: int, entry: Field, form: Form, here: bool, room: int) -> None:
    typed = form.line(entry.path)
    if entry.kind == "list":
        count = form.lengths.get(entry.path, 0)
        area.put(NAMES, y, f"{count} item{'s' * (count != 1)}" + ("   + one more, - one less" if here else ""), "accent" if here else "dim", room)
    elif entry.kind in ("flag", "choice"):
        shown = typed.text or _default(entry)
        area.put(NAMES, y, f"< {shown} >" if here else shown, "title@cursor" if here else "accent" if typed.text else "dim", room)
    elif entry.kind != "group":
        typed = typed if here else replace(typed, caret=0)
        said, caret = replace(typed, text="*" * len(typed.text)).shown(room) if entry.is_secret or entry.path in form.hidden else typed.shown(room)
        shown = said or ("(the empty text)" if entry.path in form.blank else "")
        if not shown and not here and entry.path not in form.hidden:
            shown = text.fit(text.clean(_default(entry)), room)
        area.put(NAMES, y, text.pad(shown, room), "input@field" if here else "" if said else "dim", room)
        if here:
            area.put(NAMES + caret, y, _under_caret(shown, caret), "caret", room - caret)


def _under_caret(said: str, column: int) -> str:
    used = 0
    for character in said:
        if used >= column:
            return character
        used += text.width(character)
    return " "


def _foot(area: Area, form: Form, faults: Mapping[Any, str]) -> None:
    """What the current field takes, and in full what is wrong with it."""
    here = form.current
    if here is None:
        area.put(0, 1, "Enter submits.", "dim")
        return
    area.put(0, 0, faults.get(here.path, ""), "bad")
    area.put(0, 1, f"{here.label}: {here.help}", "dim")


def _default(entry: Field) -> str:
    if "default" not in entry.schema:
        return ""
    from console.text import short

    default = entry.schema["default"]
    return default if isinstance(default, str) else short(default)
