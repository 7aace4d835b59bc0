"""Dead letters: jobs that failed for good, and events that no function could handle."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import prompts, text
from console.keys import Key
from console.screens import acts
from console.screens.jobs import COLUMNS, age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import Act, Question, State, View, Want

SWITCH = Key(("t",), "switch", "tab", "Show failed jobs, or events that no function could handle.")
ACTING = (
    Key(("r",), "replay", "replay", "Send the event to the function that failed, after a check against today's contract."),
    Key(("e",), "edit", "edit", "Edit the event, then replay it as a new one."),
    Key(("d",), "discard", "discard", "Put it aside for good, with a reason."),
)
JOB_ACTING = (Key(("r",), "retry", "retry", "Run the jobs again, under the same id."), Key(("R",), "rerun", "rerun", "Make a new job like each of these."))
STATUS = {"kept": "bad", "replayed": "ok", "discarded": "dim", "resolved": "ok"}


def letter_path(letter: str, action: str = "") -> str:
    return f"/v1/dead-letters/{quote(letter, safe='')}{'/' + action if action else ''}"


class DeadLetters(Listing):
    name = "dead-letters"
    title = "Dead letters"
    headroom = 1

    columns = (
        Column("status", lambda state, letter: (letter["status"], STATUS.get(letter["status"], "")), 10, sort=lambda row: row["status"]),
        Column("trigger", lambda state, letter: (letter["trigger"], ""), 20, sort=lambda row: row["trigger"]),
        Column("event", lambda state, letter: (str(letter.get("event_type") or "no event").removeprefix("dev.observatory."), "info"), 22),
        Column("tries", lambda state, letter: (str(letter["attempts"]), "dim"), 5, ">", sort=lambda row: row["attempts"]),
        Column("age", lambda state, letter: (age_of(state, letter["kept_at"]), "dim"), 10, ">", sort=lambda row: row["kept_at"]),
        Column("reason", lambda state, letter: (letter["reason"], "warn")),
    )

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return ((SWITCH, *ACTING), *super().keys[1:])

    def want(self, view: View) -> Want:
        if view.tab == 1:
            return Want("/v1/jobs", (("limit", "200"), ("q", f"state:failed {view.query}".strip())))
        return Want("/v1/dead-letters", (("limit", "200"),))

    def source(self, state: State, view: View) -> list[Row]:
        rows = super().source(state, view)
        words = view.query.lower().split() if view.tab == 0 else []
        return [row for row in rows if all(word in f"{row['trigger']} {row['reason']} {row['status']} {row.get('event_type')}".lower() for word in words)]

    def _widths(self, state: State, room: int) -> tuple[list[Column], list[int]]:
        if state.view.tab != 1:
            return super()._widths(state, room)
        columns = [column for column in COLUMNS if room >= column.least and not (column.title == "id" and column.columns == 36)]
        fixed = sum(column.columns + 1 for column in columns) + 2
        return columns, [column.columns or max(room - fixed, 4) for column in columns]

    def above(self, area: Any, state: State, view: View) -> None:
        x = area.put(1, 0, " events that no function could handle ", "title@cursor" if view.tab == 0 else "dim") + 1
        area.put(x, 0, " jobs that failed for good ", "title@cursor" if view.tab == 1 else "dim")

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("job" if state.view.tab == 1 else "dead-letter", str(row["id"]))), ()

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "switch":
            return state.change(tab=1 - state.view.tab, cursor=0, top=0, chosen=None, marked=frozenset(), sort=""), ()
        return super().command(state, command, key)

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if state.view.tab == 1:
            return acts.on_jobs(state, {"replay": "retry"}.get(command, command), rows) if command == "replay" else None
        return on_letters(state, command, rows)


def on_letters(state: State, command: str, letters: Sequence[Row]) -> Outcome | None:
    if not letters or command not in ("replay", "discard", "edit"):
        return None
    named = f"dead letter {letters[0]['id']}" if len(letters) == 1 else f"{len(letters)} dead letters"
    if command == "edit":
        return state.opened(View("dead-letter", str(letters[0]["id"]), tab=1)), ()
    if command == "replay":
        effects = tuple(Act("POST", letter_path(row["id"], "replay"), {}, "replayed", f"replay {row['id']}") for row in letters)
        details = tuple(f"{row['trigger']}: {row['reason']}" for row in letters[:8])
        return replace(state, question=Question(f"Send {named} to the function that failed?", effects, details)), ()

    def then(state: State, reason: str) -> Outcome:
        if not reason:
            return state.said("A reason is needed; nothing was discarded.", "warn"), ()
        effects = tuple(Act("POST", letter_path(row["id"], "discard"), {"reason": reason}, "discarded", f"discard {row['id']}") for row in letters)
        return replace(state, question=Question(f"Discard {named} for good?", effects, (reason,))), ()

    return prompts.ask(state, f"why is {named} discarded?", then), ()


class DeadLetter(Page):
    name = "dead-letter"
    title = "Dead letter"
    extra = ACTING

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (Want(letter_path(view.subject)),)

    def _letter(self, state: State, view: View) -> Row | None:
        document = state.document(Want(letter_path(view.subject)))
        return document if isinstance(document, dict) else None

    def head(self, area: Any, state: State, view: View) -> None:
        letter = self._letter(state, view)
        area.spans(1, 0, [(f"Dead letter {view.subject}  ", "title"), (letter["status"] if letter else "", STATUS.get(letter["status"], "") if letter else "")])
        area.put(1, 1, letter["reason"] if letter else state.answer(Want(letter_path(view.subject))).problem or "Reading ...", "warn")

    def text(self, state: State, view: View, columns: int) -> Text:
        letter = self._letter(state, view)
        if letter is None:
            return []
        plain = ("trigger", "source", "event_id", "event_type", "attempts", "kept_at", "content_type", "bytes", "outcome", "hidden")
        lines = facts([(name, str(letter[name]), "") for name in plain if letter.get(name) not in (None, "")], columns)
        if letter.get("check") is not None:
            lines += heading("today's contract") + wrapped(_checked(letter["check"]), columns, "warn")
        shown = text.pretty(letter["event"]) if letter.get("event") else text.clean(str(letter.get("text") or ""), lines=True)
        return lines + heading("as it was received") + wrapped(shown, columns)

    def act(self, state: State, command: str) -> Outcome | None:
        letter = self._letter(state, state.view)
        if letter is None:
            return None
        if command == "edit":
            return self._edit(state, letter)
        return on_letters(state, command, [letter])

    @staticmethod
    def _edit(state: State, letter: Row) -> Outcome:
        """The event on one line, to be changed; a replay of it is a new event whose cause is the old one."""
        event = letter.get("event")
        if not isinstance(event, dict):
            words = "What was kept is no event, so there is nothing to edit; `console dead-letters replay --edit FILE` sends one."
            return state.said(words, "warn"), ()

        def then(state: State, line: str) -> Outcome:
            try:
                document = json.loads(line)
            except ValueError as error:
                return state.said(f"This is no JSON: {error}", "bad"), ()
            act = Act("POST", letter_path(letter["id"], "replay"), {"event": document}, "replayed as edited", f"replay {letter['id']}")
            return replace(state, question=Question(f"Send the edited event to {letter['trigger']}?", (act,))), ()

        return prompts.ask(state, "event", then, text.short(event)), ()


def _checked(check: Any) -> str:
    if isinstance(check, str):
        return check
    return "keeps it" if check in (True, {}, []) else text.pretty(check)
