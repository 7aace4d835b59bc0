"""tasks: the catalogue, and what a type's payload takes."""

import argparse
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console import environment, exits, payloads
from console.session import Session
from console.text import Column, clean, duration
from console.verbs.submit import unknown_task

EXAMPLES = """examples:
  tasks
  tasks http.call
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", nargs="?", help="show the fields of this type")


def run(session: Session, arguments: argparse.Namespace) -> int:
    tasks = session.client.tasks()
    if arguments.type is None:
        return _list(session, tasks)
    found = next((task for task in tasks if task["type"] == arguments.type), None)
    if found is None:
        raise unknown_task(arguments.type, [task["type"] for task in tasks])
    if session.as_json:
        session.json(found)
    else:
        _show(session, found)
    return exits.OK


def _list(session: Session, tasks: list[dict[str, Any]]) -> int:
    if session.as_json:
        session.json({"items": tasks})
        return exits.OK
    columns = (Column("TYPE"), Column("QUEUE"), Column("TIMEOUT", ">"), Column("TRIES", ">"), Column("DESCRIPTION", flexible=True, least=20))
    session.table(columns, [
        (t["type"], t["queue"], duration(t.get("timeout_seconds")), str(t.get("max_attempts", "-")), t.get("description") or "") for t in tasks
    ])  # fmt: skip
    return exits.OK


def _show(session: Session, task: Mapping[str, Any]) -> None:
    session.heading(task["type"])
    session.say(f"  {clean(task.get('description') or '')}")
    session.say(f"  version {task['version']}, queue {task['queue']}, timeout {duration(task.get('timeout_seconds'))}, "
                f"up to {task.get('max_attempts', '-')} attempts, from {task.get('module', '-')}")  # fmt: skip
    fields = payloads.properties(task["schema"])
    required = set(task["schema"].get("required") or ())
    session.say()
    columns = (Column("FIELD"), Column("TAKES", flexible=True, least=10), Column("DEFAULT"), Column("MEANING", flexible=True, least=20))
    session.table(columns, [
        (name + (" *" if name in required else ""), takes(field), json.dumps(field["default"]) if "default" in field else "",
         " ".join(filter(None, (field.get("description"), f"Secret: give it by {name}=@FILE or {name}=-." if field.get("x-secret") is True else ""))))
        for name, field in fields.items()
    ])  # fmt: skip
    session.say()
    session.say(f"  * required. Submit it: {environment.runnable(Path.cwd())} submit {task['type']} {_example(fields, required)}".rstrip())


def takes(field: payloads.Schema) -> str:
    """What a field takes, in words: its values, or its types and bounds."""
    if isinstance(field.get("enum"), list):
        return " | ".join(str(value) for value in field["enum"])
    words = " or ".join(sorted(payloads.types_of(field))) or "anything"
    low = f" from {field['minimum']:g}" if "minimum" in field else f" above {field['exclusiveMinimum']:g}" if "exclusiveMinimum" in field else ""
    return words + low + (f" to {field['maximum']:g}" if "maximum" in field else "")


def _example(fields: Mapping[str, payloads.Schema], required: set[str]) -> str:
    shown = [name for name in fields if name in required] or list(fields)[:1]
    samples = {"string": "TEXT", "integer": "1", "number": "1.5", "boolean": "true", "array": "ITEM", "object": "{}"}
    parts = []
    for name in shown:
        kinds = payloads.types_of(fields[name]) - {"null"}
        value = str(fields[name]["enum"][0]) if isinstance(fields[name].get("enum"), list) else samples.get(next(iter(sorted(kinds)), ""), "VALUE")
        value = "@FILE" if fields[name].get("x-secret") is True else value
        parts.append(shlex.quote(f"{name}={value}"))
    return " ".join(parts)
