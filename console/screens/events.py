"""Events: everything that happened, newest first, live."""

from typing import Any

from console import text, timeline
from console.keys import Key
from console.messages import Copy, Want
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, document, facts, heading
from console.screens.screen import Outcome
from console.state import State, View
from console.theme import STATE_STYLES
from contracts.event_types import EVENT_TYPES


def name_of(event: Row) -> tuple[str, str]:
    name = timeline.short_name(event["type"])
    return name, STATE_STYLES.get(name.rpartition(".")[2], "dim")


TYPES = frozenset(kind.short for kind in EVENT_TYPES.values() if kind.logged)


class Events(Listing):
    name = "events"
    title = "Events"
    empty = "Nothing happened yet."
    extra = (Key(("J",), "job", "job", "Open the job that it is about."),)
    columns = (
        Column("time", lambda state, event: (event["time"][11:23], "dim"), 12),
        Column("position", lambda state, event: (str(event["position"]), "faint"), 9, ">", least=100),
        Column("event", lambda state, event: name_of(event), 22),
        Column("type", lambda state, event: (event.get("jobtype") or "", ""), 18),
        Column("about", lambda state, event: (event["subject"].removeprefix("job/"), "dim"), 36, least=140),
        Column("actor", lambda state, event: (event.get("actor") or "", "dim"), 18, least=120),
        Column("what", lambda state, event: (timeline.detail(event), "")),
    )

    limit = 200
    newest_first = True
    marking = False

    def want(self, view: View) -> Want:
        """Words that are event types are asked of the server, the others are looked for in what it lists."""
        types = [word for word in view.query.split() if word in TYPES]
        return Want("/v1/events", (("limit", str(self.limit)), *((("type", ",".join(types)),) if types else ())))

    def identity(self, row: Row) -> str:
        return str(row["position"])

    def source(self, state: State, view: View) -> list[Row]:
        read = state.items(self.page_want(view))
        newest = int(read[0]["position"]) if read else 0
        rows = [event for event in reversed(state.live) if int(event["position"]) > newest] + read if not view.pages else read
        types = [word for word in view.query.split() if word in TYPES]
        words = [word for word in view.query.lower().split() if word not in TYPES]
        if not (words or types):
            return rows
        return [row for row in rows if (not types or timeline.short_name(row["type"]) in types) and all(word in _searched(row) for word in words)]

    def made_from(self, state: State, view: View) -> tuple[Any, ...]:
        return (*super().made_from(state, view), state.live)

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("event", str(row["position"]), local=row)), ()

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if command == "job" and rows and str(rows[0]["subject"]).startswith("job/"):
            return state.opened(View("job", rows[0]["subject"][4:])), ()
        return about_no_job(state) if command == "job" else None


def about_no_job(state: State) -> Outcome:
    return state.said("It is about no job.", "dim", 3.0), ()


def _searched(event: Row) -> str:
    return f"{timeline.short_name(event['type'])} {event.get('jobtype')} {event['subject']} {event.get('actor')} {timeline.detail(event)}".lower()


class EventScreen(Page):
    """One event as it is: attributes and data. It keeps the event that it was opened with, for events never change."""

    name = "event"
    title = "Event"
    extra = (
        Key(("J",), "job", "job", "Open the job that it is about."),
        Key(("y",), "copy", "copy", "Copy the event as a CloudEvent."),
    )

    def head(self, area: Any, state: State, view: View) -> None:
        event = view.local or {}
        area.spans(1, 0, [(timeline.short_name(event.get("type", "")), "title"), (f"  position {view.subject}", "dim")])
        area.put(1, 1, timeline.detail(event), "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        event = view.local or {}
        lines = facts([(name, str(value), "") for name, value in sorted(event.items()) if name != "data" and value is not None], columns)
        return lines + heading("data") + document(event.get("data"), columns)

    def act(self, state: State, command: str) -> Outcome | None:
        event = state.view.local or {}
        if command == "job" and str(event.get("subject", "")).startswith("job/"):
            return state.opened(View("job", event["subject"][4:])), ()
        if command == "copy":
            return state.said("Copied.", "dim", 2.0), (Copy(text.pretty(event)),)
        return about_no_job(state) if command == "job" else None
