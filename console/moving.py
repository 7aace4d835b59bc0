"""Going from screen to screen, and from server to server. Pure."""

from dataclasses import replace
from typing import Any

from console.state import Link, State, View


def goto(state: State, screen: str, **parts: Any) -> State:
    """The screen alone on the stack, as it was left: with its selection, its filter and its order."""
    left = {**state.left, **{view.screen: view for view in state.views if not view.subject}}
    view = replace(left.get(screen, View(screen)), **parts)
    if "query" in parts:
        view = replace(view, cursor=0, top=0, chosen=None, pages=(), marked=frozenset())
    return replace(state, views=(view,) if screen == "dashboard" else (left.get("dashboard", View("dashboard")), view), left=left, help=None)


def connected(state: State, url: str, name: str, colour: str, looked_at: str) -> State:
    """The state before anything was read from another server."""
    return replace(
        state, url=url, name=name, theme=replace(state.theme, brand=colour), data={}, live=(), samples=(), operations=(), views=(View("dashboard"),),
        left={}, link=Link(since=state.now), prompt=None, question=None, help=None, launching=None, note=None,
        machine=replace(state.machine, looked_at=looked_at),
    )  # fmt: skip
