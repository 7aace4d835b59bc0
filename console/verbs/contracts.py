"""contracts: what is promised, what was refused for breaking it, and what a proposed schema would refuse."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits
from console.json_sources import read_bytes
from console.payloads import BadArgument, parse_json
from console.session import Session
from console.text import Column, Row, clean, count, fit, pretty
from console.verbs.arguments import positive
from console.verbs.times import instant

EXAMPLES = """examples:
  contracts
  contracts show text.statistics                        schema, differences, refusals with samples
  contracts check draft.json --name text.statistics     what this schema would refuse of the last 1,000 payloads
  contracts check draft.json --last 10000               named by the schema's title
"""
COLUMNS = (Column("KIND"), Column("CONTRACT", least=20), Column("VERSION", ">"), Column("REFUSED", ">"), Column("LAST HOUR", ">"), Column("CHANGED", ">"),
           Column("DESCRIPTION", flexible=True, least=12))  # fmt: skip
REFUSALS = (Column("MINUTE", least=8), Column("REASON"), Column("REQUESTS", ">"), Column("SAMPLE", flexible=True, least=20))
WIDE = 160
FAULTS = (Column("DOCUMENTS", ">"), Column("WHERE", least=8), Column("FAULT", flexible=True, least=20))


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="list | show NAME | check FILE", nargs="*", help="what to do; list is the default")
    parser.add_argument("--name", help="check: the contract that the schema is for (its title without this)")
    parser.add_argument("--last", type=positive, metavar="N", help="check: how many of the last documents (1000)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    words = arguments.words or ["list"]
    if words[0] == "show" and len(words) == 2:
        return _show(session, words[1])
    if words[0] == "check" and len(words) == 2:
        return _check(session, words[1], arguments.name, arguments.last)
    if words != ["list"]:
        session.note("contracts takes nothing, list, show NAME or check FILE")
        return exits.USAGE
    items = session.client.contracts()
    if session.as_json:
        session.json({"items": items})
    else:
        session.table(COLUMNS, [_row(item) for item in items])
    return exits.OK


def _row(item: Mapping[str, Any]) -> Row:
    changed = sum(difference["count"] for difference in item["differences"])
    numbers = (count(item[name]) if item.get(name) else "" for name in ("refused", "refused_lately"))
    return (item["kind"], item.get("short") or item["name"], str(item["version"]), *numbers, str(changed) if changed else "", item["description"])


def _show(session: Session, name: str) -> int:
    schema = session.client.contract(name)
    item = next((each for each in session.client.contracts() if name in (each["name"], each.get("short"))), None)
    refusals = session.client.refusals(name) if item is not None and item["kind"] == "task" else []
    if session.as_json:
        session.json({"contract": item, "schema": schema, "refusals": refusals})
        return exits.OK
    session.say(pretty(schema))
    for difference in item["differences"] if item is not None else ():
        session.heading(f"{difference['between']}: {difference['count']} places differ")
        for change in difference["changes"]:
            session.say(clean(f"  {change['kind']:<8} {change['pointer']}"))
        for words in difference["breaks"]:
            session.say(clean(f"  breaks: {words}"))
    if refusals:
        session.heading("refused")
        session.table(REFUSALS, [(instant(each["minute"]), each["reason"], count(each["count"]), _sample(each)) for each in refusals])
    return exits.OK


def _sample(refusal: Mapping[str, Any]) -> str:
    sample = next(iter(refusal["samples"]), None)
    return f"{sample.get('detail', '')} {sample.get('sample', '')}" if isinstance(sample, Mapping) else ""


def _check(session: Session, file: str, name: str | None, last: int | None) -> int:
    schema = parse_json(read_bytes(file if file == "-" or file.startswith("@") else f"@{file}"), file)
    if not isinstance(schema, dict):
        raise BadArgument(f"{file} holds no JSON object; a schema is one")
    title = name or schema.get("title")
    if not isinstance(title, str) or not title:
        raise BadArgument("--name says which contract the schema is for: a task type, an event type, or job")
    found = session.client.check_contract(title, schema, last)
    code = exits.REFUSED if found["refused"] else exits.OK
    if session.as_json:
        session.json(found)
        return code
    session.heading(found["words"])
    if not found["complete"]:
        session.note("the search for older ones took too long; these are the newest")
    if found["faults"]:
        session.table(FAULTS, [(count(fault["count"]), fault["pointer"] or "the whole", fault["detail"]) for fault in found["faults"]])
    for example in found["examples"][:3]:
        session.say(fit(clean(f"{example['url']}  {example['sample']}"), session.room or WIDE))
    return code
