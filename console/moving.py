"""Going from screen to screen. Pure."""

from dataclasses import replace
from typing import Any

from console.state import State, View


def goto(state: State, screen: str, **parts: Any) -> State:
    """The screen alone on the stack; a screen that was there before keeps its selection."""
    known = next((view for view in state.views if view.screen == screen and not view.subject), None)
    view = replace(known or View(screen), **parts) if parts else known or View(screen)
    return replace(state, views=(view,) if screen == "dashboard" else (View("dashboard"), view), help=False)
