"""One contract: its fields, its schema, its versions; and what a changed schema would refuse of what there is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from console import prompts, text
from console.keys import Key
from console.messages import Act, Acted, Attach, Want
from console.payloads import properties, resolved, types_of
from console.screens.page import FOLLOWING, Page, Text, document, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets.canvas import Area

CHECK = Key(("x",), "check", "check", "Hold a schema against the last documents: a file's, or the one that holds today.")
DEEPEST = 4  # so many objects within one another are shown
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
        return document(answer.document, columns) if view.tab == 1 else _fields(answer.document, columns)

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


def _fields(schema: Mapping[str, Any], columns: int) -> Text:
    """Every field with what it takes, its default and its description; those of objects are indented below them."""
    found = list(_described(schema, schema, 0))
    names = max((text.width(name) for name, _, _, _ in found), default=0) + 3
    lines: Text = []
    for name, said, description, required in found:
        lines.append([(text.pad(name, names), "title" if required else ""), (text.pad(said, 26), "info")])
        if names + max(text.width(said), 26) + 2 + text.width(description) <= columns:
            lines[-1].append((f"  {description}", "dim"))
        elif description:
            lines += [[("    ", ""), *spans] for spans in wrapped(description, columns - 4, "dim")]
    if schema.get("additionalProperties") is False:
        lines += [[], [("No other field is taken.", "dim")]]
    return lines or [[("It takes anything.", "dim")]]


def _described(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str, str, bool]]:
    """(name, what it takes, description, whether it is required) of each field."""
    required = set(schema.get("required") or ())
    for name, field in properties({**schema, "$defs": root.get("$defs", {})}).items():
        secret = bool(field.get("x-secret"))
        default = f" = {text.short(field['default'])}" if "default" in field and not secret else ""
        said = f"{_kind(field, root)}{default}{', required' if name in required else ''}{', secret' if secret else ''}"
        yield f"{'  ' * depth}{text.clean(name)}", said, text.clean(str(field.get("description") or "")), name in required
        inner = _object_in(field, root)
        if inner is not None and depth < DEEPEST:
            yield from _described(inner, root, depth + 1)


def _kind(field: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> str:
    """`integer`, `fast | slow`, `list of string`, `object or null`."""
    if isinstance(field.get("enum"), list) or "const" in field:
        return " | ".join(value if isinstance(value, str) else text.short(value) for value in field.get("enum") or [field.get("const")])
    branches = [] if "type" in field or depth > DEEPEST else _branches(field, root)
    if branches:
        return _or(_kind(branch, root, depth + 1) for branch in branches)
    kinds = types_of(field)
    items = resolved(field.get("items"), root)
    if "array" in kinds and items and depth <= DEEPEST:
        return _or([f"list of {_kind(items, root, depth + 1)}", *sorted(kinds - {"array"})])
    return _or(sorted("list" if kind == "array" else kind for kind in kinds)) or "anything"


def _or(kinds: Iterable[str]) -> str:
    """Each once, null the last."""
    return " or ".join(sorted(dict.fromkeys(kinds), key=lambda kind: kind == "null"))


def _branches(field: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [resolved(branch, root) for keyword in ("anyOf", "oneOf") for branch in field.get(keyword) or ()]


def _object_in(field: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object with fields of its own that a field takes, itself, as an item, or as one of several."""
    for part in (field, resolved(field.get("items"), root), *_branches(field, root)):
        if part.get("properties"):
            return part
    return None


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
