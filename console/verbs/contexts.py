"""contexts: servers by name, in a file of the user's."""

import argparse
import sys
from typing import Any

from console import contexts, exits
from console.api.addresses import base_url
from console.contexts import COLOURS, Context
from console.payloads import BadArgument
from console.session import Session
from console.text import Cell, Column, clean

EXAMPLES = f"""A name stands for an address and, if it has one, a key; the console paints its colour behind the name. Which server is meant, first
to last: --url, --context, OBSERVATORY_URL, OBSERVATORY_CONTEXT, the context in use, the place where make run listens.
A key never stands on a command line: --key reads it from standard input (asked for without an echo on a terminal) into a file
that only you may read. A context's own key goes to its server alone, and wins over OBSERVATORY_API_KEY there.

examples:
  contexts
  contexts add prod https://jobs.example.com --colour red --key
  pass show jobs/prod | contexts add prod https://jobs.example.com --key
  contexts use prod                from now on; contexts use alone: none
  list --context prod              once
  contexts remove prod

colours: {", ".join(COLOURS)}
"""
COLUMNS = (Column(""), Column("NAME"), Column("URL", flexible=True, least=20), Column("KEY"), Column("COLOUR"))
USAGE = "contexts takes nothing, list, add NAME URL, use [NAME] or remove NAME"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="list | add NAME URL | use [NAME] | remove NAME", nargs="*", help="what to do; list is the default")
    parser.add_argument("--key", action="store_true", help="add: read the key from standard input")
    parser.add_argument("--colour", choices=COLOURS, default="", metavar="COLOUR", help="add: what the console paints behind the name")


def run(session: Session, arguments: argparse.Namespace) -> int:
    match arguments.words or ["list"]:
        case ["list"]:
            return _list(session)
        case ["add", name, url]:
            contexts.add(Context(name, base_url(url), arguments.colour), _read_key(session) if arguments.key else None)
            session.note(clean(f"{name} stands for {base_url(url)}; contexts use {name} makes it the one in use"))
        case ["use"]:
            contexts.use("")
            session.note("no context is in use")
        case ["use", name]:
            contexts.use(name)
            session.note(clean(f"{name} is in use: {contexts.find(name).url}"))
        case ["remove", name]:
            contexts.remove(name)
            session.note(clean(f"{name} is forgotten"))
        case _:
            raise BadArgument(USAGE)
    if session.as_json:
        session.json(_document())
    return exits.OK


def _read_key(session: Session) -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("key: ").strip()
    return sys.stdin.readline().strip()


def _document() -> dict[str, Any]:
    in_use = contexts.current()
    return {"items": [
        {"name": name, "url": context.url, "colour": context.colour or None, "has_key": contexts.key_file(name).is_file(), "in_use": name == in_use}
        for name, context in contexts.known().items()
    ]}  # fmt: skip


def _list(session: Session) -> int:
    document = _document()
    if session.as_json:
        session.json(document)
        return exits.OK
    session.table(COLUMNS, [
        (Cell("*" if item["in_use"] else "", "green"), item["name"], item["url"], "yes" if item["has_key"] else "-", item["colour"] or "-")
        for item in document["items"]
    ])  # fmt: skip
    if not document["items"]:
        session.note("there are no contexts; contexts add NAME URL makes one")
    session.note(clean(f"meant now: {session.url} ({session.server.origin})"))
    return exits.OK
