"""Contracts: every type and version, and what was refused and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from console import text
from console.keys import Key
from console.messages import Want
from console.screens.jobs import ago
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import CONTRACTS
from console.widgets.canvas import Area

SWITCH = Key(("t",), "switch", "tab", "Show the contracts, or what was refused.")
TABS = (" contracts ", " refusals ")


class Contracts(Listing):
    name = "contracts"
    title = "Contracts"
    headroom = 1
    marking = False
    extra = (SWITCH,)
    columns = (
        Column("kind", lambda state, contract: (contract["kind"], "info"), 8, sort=lambda c: c["kind"]),
        Column("name", lambda state, contract: (contract.get("short") or contract["name"], "title"), 30, sort=lambda c: c["name"]),
        Column("version", lambda state, contract: (str(contract["version"]), "dim"), 7, ">", sort=lambda c: c["version"]),
        Column("differs", lambda state, contract: _differs(contract), 8, ">", least=90, sort=lambda c: -len(c.get("differences") or ())),
        Column("refused", lambda state, contract: (_refused(contract), "warn"), 8, ">",
               sort=lambda c: -c["refused"]),
        Column("description", lambda state, contract: (contract.get("description") or "", "dim")),
    )  # fmt: skip
    refusals = (
        Column("type", lambda state, refusal: (refusal["type"], "title"), 24, sort=lambda r: r["type"]),
        Column("minute", lambda state, refusal: (ago(state, refusal.get("minute")), "dim"), 13, ">", sort=lambda r: r.get("minute")),
        Column("count", lambda state, refusal: (text.count(refusal["count"]), "warn"), 7, ">", sort=lambda r: -r["count"]),
        Column("reason", lambda state, refusal: (str(refusal.get("reason") or ""), "bad"), 22, sort=lambda r: r.get("reason")),
        Column("the first", lambda state, refusal: (_first_faults(refusal), "dim")),
    )

    def shown_columns(self, view: View) -> Sequence[Column]:
        return self.refusals if view.tab else self.columns

    def want(self, view: View) -> Want:
        return CONTRACTS

    def identity(self, row: Row) -> str:
        return f"{row['kind']} {row['name']}" if "kind" in row else f"{row['type']} {row.get('minute')} {row.get('reason')}"

    def source(self, state: State, view: View) -> list[Row]:
        found = state.document(CONTRACTS) or {}
        refusals: list[Row] = found.get("refusals") or []
        words = view.query.lower().split()
        if view.tab:
            return [row for row in refusals if all(word in f"{row['type']} {row.get('reason')}".lower() for word in words)]
        counts: dict[str, int] = {}
        for refusal in refusals:
            counts[str(refusal["type"])] = counts.get(str(refusal["type"]), 0) + int(refusal["count"])
        rows = [{**row, "refused": row.get("refused", counts.get(str(row["name"]), 0))} for row in found.get("items") or []]
        return [row for row in rows if all(word in f"{row['kind']} {row['name']} {row.get('description')}".lower() for word in words)]

    def above(self, area: Area, state: State, view: View) -> None:
        x = 1
        for index, tab in enumerate(TABS):
            x = area.put(x, 0, tab, "title@cursor" if view.tab == index else "dim") + 1

    def open(self, state: State, row: Row) -> Outcome | None:
        if state.view.tab:
            return state.opened(View("refusal", local=row)), ()
        return (state.opened(View("contract", str(row["url"]), local=row)), ()) if row.get("url") else None

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "switch":
            return state.change(tab=1 - state.view.tab, cursor=0, top=0, chosen=None, sort=""), ()
        return super().command(state, command, key)

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        if y == 1 and what == "press":
            return state.change(tab=int(x > len(TABS[0])), cursor=0, top=0, chosen=None, sort=""), ()
        return super().click(state, what, x, y)


def _refused(contract: Row) -> str:
    return text.count(contract["refused"]) if contract["refused"] else ""


def _differs(contract: Row) -> tuple[str, str]:
    found = contract.get("differences") or ()
    return (text.count(sum(part["count"] for part in found)), "bad" if any(part.get("breaks") for part in found) else "warn") if found else ("", "")


def _first_faults(refusal: Row) -> str:
    samples = refusal.get("samples") or ()
    return f"{samples[0].get('detail') or ''}  {samples[0].get('sample') or ''}" if samples and isinstance(samples[0], Mapping) else ""


class RefusalScreen(Page):
    """Requests that were refused for one reason: how many, and some of them, without secrets."""

    name = "refusal"
    title = "Refusal"

    def head(self, area: Any, state: State, view: View) -> None:
        row = view.local or {}
        area.spans(1, 0, [(str(row.get("type")), "title"), (f"  {row.get('reason')}", "bad")])
        area.put(1, 1, f"{row.get('count')} in the minute from {str(row.get('minute'))[:16].replace('T', ' ')}", "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        row = view.local or {}
        plain = [(name, str(value), "") for name, value in row.items() if not isinstance(value, dict | list) and value is not None]
        lines = facts(plain, columns)
        for number, sample in enumerate(row.get("samples") or (), 1):
            lines += [*heading(f"sample {number}"), [(str(sample.get("detail") or ""), "bad")], *wrapped(text.clean(str(sample.get("sample"))), columns)]
        return lines
