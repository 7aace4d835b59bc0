"""The next state of the terminal console, for each message. Pure: what is to be done outside comes back as effects."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from console import arriving, helping, operations, prompts
from console.keys import GLOBAL, command_of
from console.messages import (
    Acted,
    Clicked,
    Effect,
    Ground,
    Happened,
    Launched,
    LaunchEnded,
    Message,
    Pasted,
    Pressed,
    Quit,
    Received,
    Redraw,
    Refresh,
    Refused,
    Resized,
    Staged,
    Suspend,
    Ticked,
    Unreached,
    Want,
)
from console.moving import goto
from console.screens import SCREENS, TABS
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import ALERTS


def update(state: State, message: Message) -> Outcome:
    """What a message makes of a state, and the effects that it asks for."""
    before = state
    state, effects = _HANDLERS[type(message)](state, message)
    return SCREENS[state.view.screen].settle(_without_old_note(before, state, message)), effects


def _without_old_note(before: State, state: State, message: Message) -> State:
    """What was said goes when a person leaves the screen that it was said on; `Submitting ...` goes when the answer is there."""
    if state.note is None or state.note is not before.note:
        return state
    has_left = isinstance(message, Pressed | Clicked) and (state.view.screen, state.view.subject) != (before.view.screen, before.view.subject)
    is_done = isinstance(message, Acted) and state.note.text.endswith("...")
    return replace(state, note=None) if has_left or is_done else state


def wants(state: State) -> tuple[Want, ...]:
    """What is to be read for the screen that is shown, for the header, and for what is under way."""
    return (*SCREENS[state.view.screen].wants(state, state.view), *prompts.wants(state), *operations.wants(state), ALERTS)


def start(state: State, effects: tuple[Effect, ...]) -> Outcome:
    """Begins what was agreed to: actions on jobs are followed from here on."""
    return operations.begun(state, effects)


# ---- keys -------------------------------------------------------------------------------------------------------


def _pressed(state: State, message: Pressed) -> Outcome:
    if message.key == "ctrl-z":
        return state, (Suspend(),)
    if message.key == "ctrl-c" and state.prompt is None:
        return state, (Quit(),)
    if state.question is not None:
        return _answered(state, message.key)
    if state.prompt is not None:
        return prompts.pressed(state, message.key)
    if state.help is not None:
        return helping.pressed(state, message.key), ()
    screen = SCREENS[state.view.screen]
    if screen.typing(state) and (typed := screen.type(state, message)) is not None:
        return start(*typed)
    command = command_of(message.key, (*screen.keys, GLOBAL))
    return _commanded(state, command, message.key) if command is not None else (state, ())


def _commanded(state: State, command: str, key: str) -> Outcome:
    outcome = SCREENS[state.view.screen].command(state, command, key)
    if outcome is not None:
        return start(*outcome)
    handler = _COMMANDS.get(command)
    return handler(state, key) if handler is not None else (state, ())


def _answered(state: State, key: str) -> Outcome:
    question = state.question
    assert question is not None
    if key in ("esc", "q", "ctrl-c"):
        return replace(state, question=None).said("Nothing was done.", "dim", 2.0), ()
    choice = next((choice for choice in question.choices if key in choice.keys), None)
    if choice is None:
        return state, ()
    state = replace(state, question=None)
    if choice.then is not None:
        return start(*choice.then(state))
    return start(state, choice.effects) if choice.effects else (state.said("Nothing was done.", "dim", 2.0), ())


def _pasted(state: State, message: Pasted) -> Outcome:
    text = message.text.replace("\r\n", "\n").replace("\r", "\n")
    if state.prompt is not None:
        return prompts.pasted(state, text), ()
    screen = SCREENS[state.view.screen]
    paste = getattr(screen, "paste", None)
    return (paste(state, text) if paste is not None and screen.typing(state) else state), ()


# ---- the mouse --------------------------------------------------------------------------------------------------


def _clicked(state: State, message: Clicked) -> Outcome:
    from console.render import choice_places, key_places, tab_places

    press = message.what in ("press", "double")
    if state.question is not None:
        key = next((key for key, x, after in choice_places(state, message.y) if x <= message.x < after), None) if press else None
        return _answered(state, key) if key is not None else (state, ())
    if state.prompt is not None:
        return state, ()
    if state.help is not None:
        return helping.clicked(state, message.what), ()
    if press and message.y == 0:
        name = next((name for name, x, after in tab_places(state) if x <= message.x < after), None)
        return (goto(state, name) if name is not None else state), ()
    if press and message.y == state.lines - 1:
        key = next((key for key, x, after in key_places(state) if x <= message.x < after), None)
        return _pressed(state, Pressed(key)) if key is not None else (state, ())
    outcome = SCREENS[state.view.screen].click(state, message.what, message.x, message.y - 1)
    return start(*outcome) if outcome is not None else (state, ())


# ---- commands that every screen has -----------------------------------------------------------------------------


def _back(state: State, key: str) -> Outcome:
    view = state.view
    if view.marked:
        return state.change(marked=frozenset()), ()
    if view.query and key == "esc":
        return state.change(query="", cursor=0, top=0, chosen=None, pages=()), ()
    return (replace(state, views=state.views[:-1]) if len(state.views) > 1 else state), ()


def _next(state: State, step: int) -> Outcome:
    here = next((view.screen for view in reversed(state.views) if view.screen in TABS), TABS[0])
    return goto(state, TABS[(TABS.index(here) + step) % len(TABS)]), ()


def _screen(state: State, key: str) -> Outcome:
    index = (int(key) - 1) % 10
    return (goto(state, TABS[index]), ()) if index < len(TABS) else (state, ())


def _over(state: State, screen: str) -> Outcome:
    return (state if state.view.screen == screen else state.opened(View(screen))), ()


_COMMANDS: dict[str, Callable[[State, str], Outcome]] = {
    "help": lambda state, key: (replace(state, help=0), ()),
    "palette": lambda state, key: (prompts.palette(state), ()),
    "filter": lambda state, key: (prompts.filter_prompt(state), ()),
    "back": _back,
    "next": lambda state, key: _next(state, 1),
    "previous": lambda state, key: _next(state, -1),
    "screen": _screen,
    "operations": lambda state, key: _over(state, "operations"),
    "alerts": lambda state, key: _over(state, "alerts"),
    "new-task": lambda state, key: (state.opened(View("new-task")), ()),
    "redraw": lambda state, key: (state, (Redraw(),)),
    "refresh": lambda state, key: (state.said("Reading anew.", "dim", 1.0), (Refresh(),)),
    "quit": lambda state, key: (state, (Quit(),)),
}
_HANDLERS: dict[type, Any] = {
    Pressed: _pressed, Pasted: _pasted, Clicked: _clicked, Resized: arriving.resized, Ground: arriving.ground, Ticked: arriving.ticked,
    Received: arriving.received, Refused: arriving.refused, Unreached: arriving.unreached, Happened: arriving.happened, Acted: arriving.acted,
    Launched: arriving.launched, Staged: arriving.staged, LaunchEnded: arriving.launch_ended,
}  # fmt: skip
