"""A graph of jobs as lines of a tree. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from console.theme import STATE_STYLES
from console.widgets.canvas import Span

MOST = 500


def tree_lines(graph: Mapping[str, Any], here: str, ascii_only: bool = False) -> list[list[Span]]:
    """The jobs of a graph below those that wait for nothing; a job with several parents stands under the first."""
    nodes = {node["id"]: node for node in graph.get("nodes", ())}
    below: dict[str, list[str]] = defaultdict(list)
    parents: dict[str, list[str]] = defaultdict(list)
    for edge in graph.get("edges", ()):
        below[edge["from"]].append(edge["to"])
        parents[edge["to"]].append(edge["from"])
    lines: list[list[Span]] = []
    seen: set[str] = set()
    stack = [(node, 0) for node in reversed(list(nodes)) if not any(parent in nodes for parent in parents[node])]
    while stack and len(lines) < MOST:
        name, depth = stack.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        lines.append(_line(nodes[name], depth, name == here, len(parents[name]), ascii_only))
        stack += [(child, depth + 1) for child in reversed(below[name])]
    if len(lines) >= MOST or graph.get("truncated"):
        lines.append([("... more than is shown", "warn")])
    return lines


def _line(node: Mapping[str, Any], depth: int, here: bool, parents: int, ascii_only: bool) -> list[Span]:
    mark = ("* " if ascii_only else "● ") if here else ("- " if ascii_only else "○ ")
    several = f"  (waits for {parents})" if parents > 1 else ""
    return [("  " * depth, ""), (mark, STATE_STYLES.get(node.get("status", ""), "")), (str(node.get("type", "?")), "title" if here else ""),
            (f"  {node['id'][-12:]}  ", "dim"), (str(node.get("status", "?")), STATE_STYLES.get(node.get("status", ""), "")), (several, "dim")]  # fmt: skip
