"""Contracts: every type and version, its schema, and what was refused."""

from typing import Any

from console import text
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import State, View, Want


class Contracts(Listing):
    name = "contracts"
    title = "Contracts"
    columns = (
        Column("kind", lambda state, contract: (contract["kind"], "info"), 8, sort=lambda c: c["kind"]),
        Column("name", lambda state, contract: (contract.get("short") or contract["name"], "title"), 30, sort=lambda c: c["name"]),
        Column("version", lambda state, contract: (str(contract["version"]), "dim"), 7, ">"),
        Column("refused", lambda state, contract: (text.count(contract["refused"]) if contract.get("refused") else "", "warn"), 8, ">",
               sort=lambda c: -(c.get("refused") or 0)),
        Column("description", lambda state, contract: (contract.get("description") or "", "dim")),
    )  # fmt: skip

    def want(self, view: View) -> Want:
        return Want("/v1/contracts", every=2.0)

    def identity(self, row: Row) -> str:
        return f"{row['kind']} {row['name']}"

    def source(self, state: State, view: View) -> list[Row]:
        words = view.query.lower().split()
        return [row for row in super().source(state, view) if all(word in f"{row['kind']} {row['name']} {row.get('description')}".lower() for word in words)]

    def open(self, state: State, row: Row) -> Outcome | None:
        return (state.opened(View("contract", str(row["url"]), local=row)), ()) if row.get("url") else None


class ContractScreen(Page):
    name = "contract"
    title = "Contract"

    def wants(self, state: State, view: View) -> list[Want]:
        return [Want(view.subject, every=2.0)]

    def head(self, area: Any, state: State, view: View) -> None:
        row = view.local or {}
        area.spans(1, 0, [(str(row.get("name")), "title"), (f"  version {row.get('version')}", "dim")])
        area.put(1, 1, str(row.get("description") or ""), "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        answer = state.answer(Want(view.subject, every=2.0))
        if answer.document is None:
            return [[(answer.problem or "Reading ...", "bad" if answer.problem else "dim")]]
        document = answer.document
        plain = [(name, str(value), "") for name, value in document.items() if not isinstance(value, dict | list) and value is not None]
        lines = facts(plain, columns)
        for name, value in document.items():
            if isinstance(value, dict | list) and value:
                lines += heading(name) + wrapped(text.pretty(value), columns)
        return lines
