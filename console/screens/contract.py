"""One contract: its fields, its schema, its versions; and what a changed schema would refuse of what there is."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from console import prompts, text
from console.keys import Key
from console.messages import Act, Acted, Attach, Want
from console.payloads import properties, types_of
from console.screens.page import FOLLOWING, Page, Text, document, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets.canvas import Area

CHECK = Key(("x",), "check", "check", "Hold a schema against the last documents: a file's, or the one that holds today.")
CHANGES = {"added": "ok", "removed": "bad", "changed": "warn"}


def contract_path(name: str) -> str:
    return f"/v1/contracts/{quote(name, safe='')}"


class ContractScreen(Page):
    """`subject` is the address of the schema, `local` the contract as the list has it."""

    name = "contract"
    title = "Contract"
    tabs = ("fields", "schema", "versions")

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return ((CHECK,), *super().keys[1:])

    def wants(self, state: State, view: View) -> list[Want]:
        return [Want(view.subject, every=0)]

    def head(self, area: Area, state: State, view: View) -> None:
        row = view.local or {}
        area.spans(1, 0, [(str(row.get("name")), "title"), (f"  {row.get('kind')}, version {row.get('version')}", "dim")])
        area.put(1, 1, str(row.get("description") or ""), "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        if view.tab == 2:
            return _versions(view.local or {}, columns)
        answer = state.answer(Want(view.subject, every=0))
        if answer.document is None:
            return [[(answer.problem or "Reading ...", "bad" if answer.problem else "dim")]]
        return document(answer.document, columns) if view.tab == 1 else _fields(answer.document)

    def act(self, state: State, command: str) -> Outcome | None:
        if command != "check":
            return None
        name, today = (state.view.local or {}).get("name"), state.document(Want(state.view.subject, every=0))
        act = Act("POST", "/v1/contracts/check", {"name": name, "schema": today}, about=f"check {name}", asker=self.name)

        def then(state: State, path: str) -> Outcome:
            return state.said("Holding it against what there is ...", "dim", 3.0), (Attach(act, "schema", path) if path else act,)

        return prompts.ask(state, "file of a schema to try (empty: the one that holds)", then), ()

    def acted(self, state: State, message: Acted) -> Outcome:
        if message.problem is not None:
            return state.said(f"{message.act.about}: {message.problem}", "bad", 12.0), ()
        return state.opened(View("contract-check", str(message.document["name"]), local=message.document)), ()


def _fields(schema: Mapping[str, Any]) -> Text:
    required, found = set(schema.get("required") or ()), properties(schema)
    room = max((len(name) for name in found), default=0) + 3
    lines: Text = []
    for name, field in found.items():
        kind = " or ".join(sorted(types_of(field))) or "anything"
        said = f"{kind}{', required' if name in required else ''}{', secret' if field.get('x-secret') else ''}"
        lines.append([(name.ljust(room), "title" if name in required else ""), (said.ljust(26), "info"), (str(field.get("description") or ""), "dim")])
    if schema.get("additionalProperties") is False:
        lines += [[], [("No other field is taken.", "dim")]]
    return lines or [[("It takes anything.", "dim")]]


def _versions(contract: Mapping[str, Any], columns: int) -> Text:
    lines: Text = [[("versions  ", "dim"), (", ".join(str(found["version"]) for found in contract.get("versions") or ()) or "-", "")]]
    for found in contract.get("differences") or ():
        lines += heading(f"{found['between']}: it differs at {text.count(found['count'])} place{'s' * (found['count'] != 1)}")
        if found.get("breaks"):
            lines += wrapped(f"It would break: {text.short(found['breaks'])}", columns, "bad")
        for change in found.get("changes") or ():
            before, after = (text.short(change[side]) if change.get(side) is not None else "" for side in ("before", "after"))
            style = CHANGES.get(change["kind"], "")
            lines.append([(f"{change['kind']:<9}", style), (f"{change['pointer']}  ", "accent"), (f"{before} ", "bad"), (after, "ok")])
    return lines if contract.get("differences") else [*lines, [("Nothing differs from the version before, or from the last release.", "dim")]]


class ContractCheck(Page):
    """What a schema would refuse of the last documents: how many, for what, and some of them."""

    name = "contract-check"
    title = "Check of a contract"

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (*super().keys, FOLLOWING)

    def head(self, area: Area, state: State, view: View) -> None:
        found = view.local or {}
        area.spans(1, 0, [("Check of ", "dim"), (view.subject, "title"), (f"  {text.count(found.get('checked', 0))} documents", "dim")])
        area.put(1, 1, str(found.get("words")), "bad" if found.get("refused") else "ok")

    def _made(self, view: View, columns: int) -> tuple[Text, dict[int, View]]:
        found = view.local or {}
        links: dict[int, View] = {}
        answers = {"same as now": found.get("same_as_now"), "all looked at": found.get("complete")}
        lines = facts([(name, "yes" if answer else "no", "") for name, answer in answers.items()], columns)
        for fault in found.get("faults") or ():
            lines.append([(f"{text.count(fault['count']):>7}  ", "warn"), (f"{fault['pointer'] or 'the whole'}  ", "accent"), (str(fault["detail"]), "")])
        for example in found.get("examples") or ():
            lines += heading(f"{example.get('job') or example.get('event')}, {str(example.get('at'))[:19]}")
            if example.get("job"):
                links[len(lines) - 1] = View("job", str(example["job"]))
            lines += wrapped(text.clean(str(example.get("sample"))), columns)
        return lines, links

    def text(self, state: State, view: View, columns: int) -> Text:
        return self._made(view, columns)[0]

    def links(self, state: State, view: View, columns: int) -> Mapping[int, View]:
        return self._made(view, columns)[1]
