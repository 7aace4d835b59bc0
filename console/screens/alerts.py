"""Alerts: what deserves attention, since when, what to do about it, and what it rests on."""

from urllib.parse import parse_qsl, urlsplit

from console import text
from console.keys import Key
from console.messages import Want
from console.moving import goto
from console.screens.jobs import age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import wrapped
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import ALERTS
from console.widgets.canvas import Area
from contracts.query.printing import quoted

LEADS = {"/v1/dead-letters": "dead-letters", "/v1/contracts": "contracts", "/v1/queues": "queues"}


def style_of(alert: Row) -> str:
    return "dim" if alert.get("status") == "pending" else "warn" if alert.get("severity") == "warning" else "bad"


def words_of(alert: Row) -> str:
    return text.clean(str(alert.get("summary") or alert.get("name")))


class Alerts(Listing):
    name = "alerts"
    title = "Alerts"
    empty = "No alert: nothing is beyond its threshold."
    marking = False
    headroom = 2
    extra = (Key(("J",), "open", "", "Go to what it rests on, as Enter."),)
    columns = (
        Column("severity", lambda state, alert: (str(alert.get("severity")), style_of(alert)), 9, sort=lambda alert: alert.get("severity")),
        Column("state", lambda state, alert: (str(alert.get("status") or ""), "dim"), 8, sort=lambda alert: alert.get("status")),
        Column("for", lambda state, alert: (age_of(state, alert.get("since")), "dim"), 9, ">", sort=lambda alert: alert.get("since")),
        Column("alert", lambda state, alert: (str(alert.get("id")), "accent"), 30, least=110, sort=lambda alert: alert.get("id")),
        Column("what", lambda state, alert: (words_of(alert), "")),
    )

    def want(self, view: View) -> Want:
        return ALERTS

    def above(self, area: Area, state: State, view: View) -> None:
        """What to do about the selected one."""
        row = self.selected(state) if state.view is view else None
        mend = text.clean(str(row.get("mend") or "")) if row is not None else ""
        for line, spans in enumerate(wrapped(mend, area.columns - 2, "accent")):
            area.spans(1, line, spans)

    def open(self, state: State, row: Row) -> Outcome | None:
        return lead(state, str(row.get("evidence") or "")), ()


def lead(state: State, address: str) -> State:
    """The screen that shows what stands at an address of the HTTP surface."""
    where = urlsplit(address)
    if where.path == "/v1/jobs":
        return goto(state, "jobs", query=" ".join(f"{name}:{quoted(value) if ' ' in value else value}" for name, value in parse_qsl(where.query)))
    return goto(state, LEADS.get(where.path, "dashboard"))
