"""Functions: what each does, its instances, cold starts, and whether it is at zero."""

from collections.abc import Mapping
from typing import Any

from console import text
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View, Want


def _instances(function: Row) -> tuple[str, str]:
    count = len(function.get("instances") or ())
    return (f"{count} up", "ok") if count else ("at zero", "faint")


def _since(state: State, function: Row) -> tuple[str, str]:
    starts = [i["started_at"] for i in function.get("instances") or () if isinstance(i, Mapping) and i.get("started_at")]
    from console.screens.jobs import age_of

    return (age_of(state, max(starts)), "dim") if starts else ("", "dim")


def _cold(function: Row) -> tuple[str, str]:
    seconds: Any = function.get("cold_start_seconds") or max(
        (i.get("cold_start_seconds") or 0 for i in function.get("instances") or () if isinstance(i, Mapping)), default=0
    )
    return (text.duration(seconds), "dim") if seconds else ("", "dim")


class Functions(Listing):
    name = "functions"
    title = "Functions"
    columns = (
        Column("function", lambda state, function: (function["name"], "title"), 16, sort=lambda f: f["name"]),
        Column("instances", lambda state, function: _instances(function), 10, sort=lambda f: len(f.get("instances") or ())),
        Column("up since", lambda state, function: _since(state, function), 10, ">"),
        Column("cold start", lambda state, function: _cold(function), 10, ">"),
        Column("does", lambda state, function: (function.get("does") or "", "dim")),
        Column("names", lambda state, function: (", ".join(str(i.get("instance")) for i in function.get("instances") or ()), "faint"), 30, least=110),
    )

    def want(self, view: View) -> Want:
        return Want("/v1/functions", every=1.0)

    def identity(self, row: Row) -> str:
        return str(row["name"])

    def open(self, state: State, row: Row) -> Outcome | None:
        return state, ()
