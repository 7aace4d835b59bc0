"""A graph of jobs as lines of a tree. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from console.theme import STATE_STYLES
from console.widgets.canvas import Span

MOST = 500
Branch = tuple[str, list[Span]]  # the id of the job that a line is about; empty for a line about none


def tree_lines(graph: Mapping[str, Any], here: str, ascii_only: bool = False) -> list[Branch]:
    """The jobs of a graph below those that wait for nothing. One with several parents stands under the first with all below it,
    and is only named under the others."""
    nodes = {node["id"]: node for node in graph.get("nodes", ())}
    below: dict[str, list[tuple[str, str]]] = defaultdict(list)
    parents: dict[str, int] = defaultdict(int)
    for edge in graph.get("edges", ()):
        if edge["from"] in nodes and edge["to"] in nodes:
            below[edge["from"]].append((edge["to"], str(edge.get("kind") or "")))
            parents[edge["to"]] += 1
    lines: list[Branch] = []
    seen: set[str] = set()
    stack = [(node, "", "", "") for node in reversed(nodes) if not parents[node]]
    while stack and len(lines) < MOST:
        name, lead, arm, kind = stack.pop()
        again = name in seen
        seen.add(name)
        lines.append((name, [(lead + arm, "dim"), *_node(nodes[name], name == here, kind, again, ascii_only)]))
        if again:
            continue
        inner = lead + {"": "", _arms(ascii_only)[0]: _arms(ascii_only)[2]}.get(arm, "   ")
        following = [(child, inner, _arms(ascii_only)[1 if last else 0], kind) for child, kind, last in _marked(below[name])]
        stack += reversed(following)
    if len(lines) >= MOST or graph.get("truncated"):
        lines.append(("", [("... there are more than are shown", "warn")]))
    return lines


def _marked(children: list[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    return [(child, kind, index == len(children) - 1) for index, (child, kind) in enumerate(children)]


def _arms(ascii_only: bool) -> tuple[str, str, str]:
    return ("|- ", "`- ", "|  ") if ascii_only else ("├─ ", "└─ ", "│  ")


def _node(node: Mapping[str, Any], here: bool, kind: str, again: bool, ascii_only: bool) -> list[Span]:
    status = str(node.get("status", "?"))
    style = STATE_STYLES.get(status, "")
    mark = ("*" if ascii_only else "●") if here else ("-" if ascii_only else "○")
    more = {"parent": "  made from the one above", "depends_on": ""}.get(kind, "")
    waits = len(node.get("depends_on") or ())
    notes = ("  shown above" if again else "") + (f"  waits for {waits}" if waits > 1 else "") + more
    return [(f"{mark} ", style), (str(node.get("type", "?")), "title" if here else ""), (f"  {node['id'][-12:]}  ", "dim"), (status, style), (notes, "dim")]
