"""A dead letter, edited under its schema: faults stand at the fields before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.messages import Act, Acted, Want
from console.screens.contract import contract_path
from console.screens.dead_letters import letter_path, told
from console.screens.filling import Filling
from console.screens.screen import Outcome
from console.state import State, View, sure
from console.widgets.form import Form, Section

ATTRIBUTES = ("type", "source", "subject")
ENVELOPE: dict[str, Any] = {
    "type": "object", "required": ["type", "source"],
    "properties": {
        "type": {"type": "string", "minLength": 1, "description": "The event's type."},
        "source": {"type": "string", "minLength": 1, "description": "Who sent it."},
        "subject": {"type": "string", "minLength": 1, "description": "What it is about."},
    },
}  # fmt: skip
ANYTHING: dict[str, Any] = {"type": "object"}


class LetterForm(Filling):
    """`subject` is the letter's id. An edited replay is a new event whose cause is the old one."""

    name = "letter-form"
    title = "Edit the event of dead letter"
    verb = "Replay"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        letter = self._letter(state, view)
        contract = [self._contract(letter)] if letter is not None and letter.get("event_type") else []
        return (Want(letter_path(view.subject), every=0), *contract)

    @staticmethod
    def _letter(state: State, view: View) -> Mapping[str, Any] | None:
        return state.document(Want(letter_path(view.subject), every=0))

    @staticmethod
    def _contract(letter: Mapping[str, Any]) -> Want:
        return Want(contract_path(str(letter["event_type"])), every=0)

    def begin(self, state: State, view: View) -> Form | None:
        letter = self._letter(state, view)
        if letter is None or letter.get("hidden"):
            return None
        schema: Mapping[str, Any] = ANYTHING
        if letter.get("event_type"):
            answer = state.answer(self._contract(letter))
            if answer.document is None and answer.problem is None:
                return None
            schema = answer.document or ANYTHING
        event = _object(letter.get("event"))
        data = _object(event.get("data"))
        attributes = {name: event[name] for name in ATTRIBUTES if event.get(name) is not None}
        sections = (Section("data", "Data", schema), Section("event", "Attributes", ENVELOPE))
        return Form.of(sections, {"data": data, "event": attributes})

    def about(self, state: State, view: View) -> tuple[str, str]:
        letter = self._letter(state, view)
        if letter is not None and letter.get("hidden"):
            return view.subject, f"It cannot be edited here: {letter['hidden']}."
        return view.subject, str(letter["reason"]) if letter is not None else ""

    def submit(self, state: State, form: Form) -> Outcome:
        letter = self._letter(state, state.view) or {}
        original = _object(letter.get("event")) or {"specversion": "1.0", "id": f"edited-{state.view.subject}"}
        event = {**original, **form.document("event")[0], "data": form.document("data")[0]}
        event = {name: value for name, value in event.items() if value is not None}
        act = Act("POST", letter_path(state.view.subject, "replay"), {"event": event}, about=f"replay {state.view.subject[-12:]}", asker=self.name)
        return replace(state, question=sure(f"Send the edited event to {letter.get('trigger')}?", (act,))), ()

    def acted(self, state: State, message: Acted) -> Outcome:
        if message.problem is None and state.view.screen == self.name:
            state = replace(state, views=state.views[:-1])
        return told(state, message)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
