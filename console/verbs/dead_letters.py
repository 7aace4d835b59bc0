"""dead-letters: events that no function could handle."""

import argparse
from collections.abc import Callable
from typing import Any

from console import exits
from console.json_sources import read_bytes
from console.payloads import parse_json
from console.session import Session
from console.text import Column, clean, pretty
from console.timeline import short_name
from console.verbs.arguments import positive
from console.verbs.each import for_each
from console.verbs.paging import whole
from console.verbs.queries import checked
from console.verbs.times import now_text, since
from contracts.query import LETTERS

EXAMPLES = """examples:
  dead-letters
  dead-letters --query 'trigger:billing age>1h'
  dead-letters show LETTER
  dead-letters replay LETTER LETTER                     to the function that failed, after a check against today's contract
  dead-letters show LETTER --event > event.json         then edit it, and send it as a new event:
  dead-letters replay LETTER --edit @event.json
  dead-letters discard LETTER --reason "a test"
  bulk replay 'trigger:billing status:kept' --dry-run   every one that a query finds
"""
STATES = ("kept", "replayed", "discarded", "resolved")
COLUMNS = (
    Column("ID", least=36), Column("KEPT", ">"), Column("TRIGGER", flexible=True, least=8), Column("EVENT", least=12, drop=3), Column("TRIES", ">", drop=4),
    Column("STATE", drop=2), Column("REASON", flexible=True, least=16, drop=1),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="list | show LETTER | replay LETTER ... | discard LETTER ...", nargs="*", help="what to do; list is the default")
    parser.add_argument("--edit", metavar="@FILE", help="replay: the event to send in its place (- for standard input)")
    parser.add_argument("--reason", help="replay, discard: goes into the log; discard needs one")
    parser.add_argument("--event", action="store_true", help="show: the event alone, as JSON")
    parser.add_argument("--status", choices=STATES, help="only those")
    parser.add_argument("--query", metavar="QUERY", help="only those that fit, by the fields of dead letters")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="how many (20)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.words or ["list"]
    if words[0] == "show" and len(words) == 2:
        return _show(session, words[1], arguments.event)
    if words[0] in ("replay", "discard") and len(words) > 1:
        return _act(session, words[0], words[1:], arguments)
    if words != ["list"]:
        session.note("dead-letters takes nothing, list, show LETTER, replay LETTER ... or discard LETTER ...")
        return exits.USAGE
    query = checked(session, arguments.query, LETTERS)
    page = whole(lambda limit, cursor: session.client.dead_letters(q=query, status=arguments.status, limit=limit, cursor=cursor),
                 arguments.limit)  # fmt: skip
    if session.as_json:
        session.json(page)
        return exits.OK
    now = now_text()
    session.table(COLUMNS, [
        (letter["id"], since(letter["kept_at"], now), letter["trigger"], short_name(letter["event_type"] or letter["event_id"]), str(letter["attempts"]),
         letter["status"], letter["reason"])
        for letter in page["items"]
    ])  # fmt: skip
    if not page["items"]:
        session.note("there are no dead letters")
    return exits.OK


def _act(session: Session, verb: str, letters: list[str], arguments: argparse.Namespace) -> int:
    """Replays or discards each; a replay that failed again is exit code 1."""
    if verb == "discard" and not arguments.reason:
        session.note('discard needs --reason "..."')
        return exits.USAGE
    if arguments.edit and len(letters) > 1:
        session.note("--edit stands for one letter")
        return exits.USAGE
    event = parse_json(read_bytes(arguments.edit), arguments.edit) if arguments.edit else None
    acts: dict[str, Callable[[str], Any]] = {
        "replay": lambda letter: session.client.replay_dead_letter(letter, event=event, reason=arguments.reason),
        "discard": lambda letter: session.client.discard_dead_letter(letter, arguments.reason),
    }
    return for_each(session, letters, acts[verb], _words, lambda answer: exits.FAILED if verb == "replay" and answer["status"] == "kept" else exits.OK)


def _words(letter: str, answer: Any) -> str:
    return f"{letter} {answer['status']}{': ' + answer['outcome'] if answer.get('outcome') else ''}"


def _show(session: Session, letter_id: str, event_only: bool) -> int:
    letter = session.client.dead_letter(letter_id)
    if event_only:
        session.json(letter.get("event"))
        return exits.OK if letter.get("event") else exits.NOT_FOUND
    if session.as_json:
        session.json(letter)
        return exits.OK
    for name, value in letter.items():
        if value is None:
            continue
        session.say(clean(f"{name:<14}{value if isinstance(value, str | int) else ''}".rstrip()))
        if isinstance(value, dict | list):
            session.say(pretty(value))
    return exits.OK
