"""Dead letters: events that no function could handle, and jobs that failed for good."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import prompts, text
from console.keys import Key
from console.messages import Act, Acted, Want
from console.screens import acts
from console.screens.jobs import COLUMNS, age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, document, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import State, View, sure
from console.widgets.canvas import Area

ACTING = (
    Key(("t",), "switch", "tab", "Show failed jobs, or events that no function could handle."),
    Key(("r",), "replay", "replay", "Send the event again to what could not handle it; run a failed job again."),
    Key(("e",), "edit", "edit", "Change it under its schema, then send it as a new one."),
    Key(("d",), "discard", "discard", "Put an event aside for good, with a reason."),
    Key(("R",), "rerun", "", "Failed jobs: make a new job like each of these."),
    Key(("a",), "all", "all that match", "Failed jobs: retry or rerun all that match the filter."),
)
STATUS = {"kept": "bad", "replayed": "ok", "discarded": "dim", "resolved": "ok"}
TABS = (" events that no function could handle ", " jobs that failed for good ")


def letter_path(letter: str, action: str = "") -> str:
    return f"/v1/dead-letters/{quote(letter, safe='')}{'/' + action if action else ''}"


class DeadLetters(Listing):
    name = "dead-letters"
    title = "Dead letters"
    headroom = 1
    limit = 200
    newest_first = True
    extra = ACTING
    columns = (
        Column("status", lambda state, letter: (letter["status"], STATUS.get(letter["status"], "")), 10, sort=lambda row: row["status"]),
        Column("trigger", lambda state, letter: (letter["trigger"], ""), 18, sort=lambda row: row["trigger"]),
        Column("event", lambda state, letter: (str(letter.get("event_type") or "no event").removeprefix("dev.observatory."), "info"), 22, least=110),
        Column("tries", lambda state, letter: (str(letter["attempts"]), "dim"), 5, ">", least=90, sort=lambda row: row["attempts"]),
        Column("age", lambda state, letter: (age_of(state, letter["kept_at"]), "dim"), 9, ">", sort=lambda row: row["kept_at"]),
        Column("reason", lambda state, letter: (letter["reason"], "warn")),
    )

    def shown_columns(self, view: View) -> Sequence[Column]:
        return COLUMNS if view.tab else self.columns

    def want(self, view: View) -> Want:
        if view.tab:
            return Want("/v1/jobs", (("limit", str(self.limit)), ("q", _failed(view))))
        return Want("/v1/dead-letters", (("limit", str(self.limit)),))

    def source(self, state: State, view: View) -> list[Row]:
        rows = super().source(state, view)
        words = view.query.lower().split() if not view.tab else []
        return [row for row in rows if all(word in f"{row['trigger']} {row['reason']} {row['status']} {row.get('event_type')}".lower() for word in words)]

    def above(self, area: Area, state: State, view: View) -> None:
        x = 1
        for index, tab in enumerate(TABS):
            x = area.put(x, 0, tab, "title@cursor" if view.tab == index else "dim") + 1

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("job" if state.view.tab else "dead-letter", str(row["id"]))), ()

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "switch":
            return self._switched(state), ()
        return super().command(state, command, key)

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        if y == 1 and what == "press":
            return (self._switched(state) if state.view.tab != int(x > len(TABS[0])) else state), ()
        return super().click(state, what, x, y)

    @staticmethod
    def _switched(state: State) -> State:
        return state.change(tab=1 - state.view.tab, cursor=0, top=0, chosen=None, marked=frozenset(), sort="", query="", pages=())

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if not state.view.tab:
            return on_letters(state, command, rows)
        if command == "all":
            return acts.ask_bulk(state, _failed(state.view))
        if command == "edit":
            return (state.opened(View("form", str(rows[0]["type"]), source=str(rows[0]["id"]))) if rows else state), ()
        if command == "discard":
            return state.said("A failed job stays as it is until retention drops it; retry it, or run it again.", "dim"), ()
        return acts.on_jobs(state, "retry" if command == "replay" else command, rows)

    def acted(self, state: State, message: Acted) -> Outcome:
        return told(state, message)


def _failed(view: View) -> str:
    """The filter within the jobs that failed; parentheses keep an OR of it together."""
    return f"state:failed ({view.query})" if view.query else "state:failed"


# ---- acting on letters ------------------------------------------------------------------------------------------


def on_letters(state: State, command: str, letters: Sequence[Row]) -> Outcome | None:
    if command not in ("replay", "discard", "edit"):
        return (state, ()) if command in ("rerun", "all") else None
    if not letters:
        return state, ()
    if command == "edit":
        return state.opened(View("letter-form", str(letters[0]["id"]))), ()
    named = f"dead letter {letters[0]['id'][-12:]}" if len(letters) == 1 else f"{len(letters)} dead letters"
    details = tuple(f"{row['trigger']}: {row['reason']}" for row in letters[:8])
    if command == "replay":
        effects = tuple(_act(row, "replay", {}) for row in letters)
        return replace(state, question=sure(f"Send {named} to the function that failed?", effects, details)), ()

    def then(state: State, reason: str) -> Outcome:
        if not reason:
            return state.said("A reason is needed; nothing was discarded.", "warn"), ()
        effects = tuple(_act(row, "discard", {"reason": reason}) for row in letters)
        return replace(state, question=sure(f"Discard {named} for good?", effects, (f"because: {reason}", *details))), ()

    return prompts.ask(state, f"why is {named} discarded?", then), ()


def _act(letter: Row, action: str, body: dict[str, Any]) -> Act:
    return Act("POST", letter_path(str(letter["id"]), action), body, about=f"{action} {letter['id'][-12:]}", asker="dead-letters")


def told(state: State, message: Acted) -> Outcome:
    """What became of a replay or a discard; a function that failed again is said, though the server answered 200."""
    if message.problem is not None:
        faults = "; ".join(f"{pointer or 'it'} {detail}" for pointer, detail in message.faults)
        return state.said(f"{message.act.about}: {message.problem}" + (f" ({faults})" if faults else ""), "bad", 12.0), ()
    letter = message.document if isinstance(message.document, dict) else {}
    if letter.get("status") == "discarded":
        return state.said(f"{message.act.about}: it is put aside."), ()
    outcome = str(letter.get("outcome") or letter.get("status") or "done")
    return state.said(f"{message.act.about}: {outcome}", "ok" if letter.get("status") in ("replayed", "resolved") else "bad", 10.0), ()


class DeadLetter(Page):
    """One letter: the reason, today's contract, and what was received."""

    name = "dead-letter"
    title = "Dead letter"
    extra = ACTING[1:4]

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (Want(letter_path(view.subject)),)

    def _letter(self, state: State, view: View) -> Row | None:
        found = state.document(Want(letter_path(view.subject)))
        return found if isinstance(found, dict) else None

    def head(self, area: Area, state: State, view: View) -> None:
        letter = self._letter(state, view)
        area.spans(1, 0, [(f"Dead letter {view.subject}  ", "title"), (letter["status"], STATUS.get(letter["status"], "")) if letter else ("", "")])
        area.put(1, 1, letter["reason"] if letter else state.answer(Want(letter_path(view.subject))).problem or "Reading ...", "warn")

    def text(self, state: State, view: View, columns: int) -> Text:
        letter = self._letter(state, view)
        if letter is None:
            return []
        check = letter.get("check")
        lines: Text = [[("today's contract  ", "dim"), ("it keeps it, so a replay may do", "ok")]] if check == "ok" else []
        if check not in ("ok", None):
            lines = [[("today's contract  ", "dim"), ("it breaks it, so it has to be edited (e)", "bad")], *wrapped(text.clean(str(check)), columns, "warn")]
        plain = ("reason", "trigger", "source", "event_id", "event_type", "attempts", "kept_at", "content_type", "bytes", "outcome", "hidden")
        lines += [[], *facts([(name, str(letter[name]), "") for name in plain if letter.get(name) not in (None, "")], columns)]
        lines += heading("as it was received")
        if letter.get("event"):
            return lines + document(letter["event"], columns)
        return lines + wrapped(text.clean(str(letter.get("text") or ""), lines=True), columns)

    def act(self, state: State, command: str) -> Outcome | None:
        letter = self._letter(state, state.view)
        return on_letters(state, command, [letter]) if letter is not None else None
