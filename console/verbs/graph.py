"""graph: the jobs that hang together with one."""

import argparse
from collections.abc import Mapping
from typing import Any

from console import exits
from console.session import Session
from console.text import Column, state_cell
from console.verbs.arguments import positive

EXAMPLES = """Parents stand before their children; the numbers say which line a job waits for or came from.

examples:
  graph JOB
  graph JOB --json | jq '.nodes[] | select(.status == "waiting") | .id'
"""
COLUMNS = (Column("#", ">"), Column("JOB", least=36), Column("TYPE", flexible=True, least=8), Column("STATE"), Column("TRY", ">"),
           Column("AFTER", flexible=True, least=8), Column("OF", ">"))  # fmt: skip
NAMED = 6


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the job's id")
    parser.add_argument("--limit", type=positive, metavar="N", help="how many jobs at most (2500)")


def run(session: Session, arguments: argparse.Namespace) -> int:
    graph = session.client.graph(arguments.job, limit=arguments.limit)
    if session.as_json:
        session.json(graph)
        return exits.OK
    lines = {node["id"]: str(number) for number, node in enumerate(graph["nodes"], 1)}
    session.table(COLUMNS, [
        (lines[node["id"]], node["id"] + (" *" if node["id"] == arguments.job else ""), node["type"], state_cell(node["status"]),
         f"{node['attempt']}/{node['attempts_allowed']}", _after(node, lines), lines.get(node["parent_id"], "gone") if node["parent_id"] else "")
        for node in graph["nodes"]
    ])  # fmt: skip
    if graph["truncated"]:
        session.note(f"there are more than these {len(graph['nodes'])}; --limit N asks for more")
    return exits.OK


def _after(node: Mapping[str, Any], lines: Mapping[str, str]) -> str:
    """The lines of the jobs that it depends on; those that are kept no more are `gone`."""
    named = [lines.get(parent, "gone") for parent in node["depends_on"][:NAMED]]
    more = len(node["depends_on"]) - len(named)
    return " ".join(named) + (f" and {more} more" if more else "")
