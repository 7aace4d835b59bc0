"""dead-letters: events that no function could handle."""

import argparse

from console import exits
from console.session import Session
from console.text import Column, clean, pretty
from console.verbs.times import instant

EXAMPLES = """examples:
  dead-letters
  dead-letters show LETTER
"""
STATES = ("kept", "replayed", "discarded", "resolved")
COLUMNS = (
    Column("ID", least=36), Column("KEPT", least=8), Column("TRIGGER"), Column("EVENT", flexible=True, least=12), Column("TRIES", ">"), Column("STATE"),
    Column("REASON", flexible=True, least=10),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="[list | show LETTER]", nargs="*", help="list (the default), or one letter whole")
    parser.add_argument("--status", choices=STATES, help="only those")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (20)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.words or ["list"]
    if words[0] == "show" and len(words) == 2:
        return _show(session, words[1])
    if words != ["list"]:
        session.note("dead-letters takes nothing, list, or show LETTER")
        return exits.USAGE
    page = session.client.dead_letters(status=arguments.status, limit=arguments.limit)
    if session.as_json:
        session.json(page)
        return exits.OK
    session.table(COLUMNS, [
        (letter["id"], instant(letter["kept_at"]), letter["trigger"], letter["event_type"] or letter["event_id"], str(letter["attempts"]),
         letter["status"], letter["reason"])
        for letter in page["items"]
    ])  # fmt: skip
    if not page["items"]:
        session.note("there are no dead letters")
    return exits.OK


def _show(session: Session, letter_id: str) -> int:
    letter = session.client.dead_letter(letter_id)
    if session.as_json:
        session.json(letter)
        return exits.OK
    for name, value in letter.items():
        session.say(clean(f"{name:<14}{value if isinstance(value, str | int) or value is None else ''}".rstrip()))
        if isinstance(value, dict | list):
            session.say(pretty(value))
    return exits.OK
