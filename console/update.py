"""The next state of the terminal console, for each message. Pure: what is to be done outside comes back as effects."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from console import prompts
from console.keys import GLOBAL, command_of
from console.moving import goto
from console.screens import SCREENS, TABS
from console.screens.screen import Outcome
from console.state import (
    ALERTS,
    Act,
    Acted,
    Answer,
    Clicked,
    Effect,
    Happened,
    Launched,
    LaunchFailed,
    Link,
    Message,
    Pasted,
    Pressed,
    Quit,
    Received,
    Redraw,
    Refresh,
    Refused,
    Resized,
    State,
    Ticked,
    Unreached,
    View,
    Want,
)

LIVE_EVENTS = 200
KEPT_ANSWERS = 60


def update(state: State, message: Message) -> Outcome:
    """What a message makes of a state, and the effects that it asks for."""
    state, effects = _HANDLERS[type(message)](state, message)
    return SCREENS[state.view.screen].settle(state), effects


def wants(state: State) -> tuple[Want, ...]:
    """What is to be read for the screen that is shown, and for the header."""
    return (*SCREENS[state.view.screen].wants(state, state.view), ALERTS)


# ---- what comes from outside ------------------------------------------------------------------------------------


def _ticked(state: State, message: Ticked) -> Outcome:
    note = state.note if state.note is not None and state.note.until > message.now else None
    return replace(state, now=message.now, wall=message.wall, note=note), ()


def _resized(state: State, message: Resized) -> Outcome:
    return replace(state, columns=message.columns, lines=message.lines), (Redraw(),)


def _heard(state: State, at: float) -> State:
    since = state.link.since if state.link.condition == "live" else at
    if state.view.screen == "launcher":
        state = replace(state, views=(View("dashboard"),))
    return replace(state, now=max(state.now, at), link=Link("live", since, at))


def _received(state: State, message: Received) -> Outcome:
    state = _heard(state, message.at)
    return replace(state, data=_kept(state, message.want, Answer(message.document, message.at))), ()


def _refused(state: State, message: Refused) -> Outcome:
    state = _heard(state, message.at)
    last = state.answer(message.want)
    answer = replace(last, problem=message.text, status=message.status, at=message.at)
    return replace(state, data=_kept(state, message.want, answer)), ()


def _kept(state: State, want: Want, answer: Answer) -> dict[Want, Answer]:
    """The answers with this one; the oldest of those that no screen wants go when there are many."""
    data = {**state.data, want: answer}
    if len(data) > KEPT_ANSWERS:
        wanted = {w for view in state.views for w in SCREENS[view.screen].wants(state, view)}
        spare = sorted((w for w in data if w not in wanted and w != ALERTS), key=lambda w: data[w].at)
        for old in spare[: len(data) - KEPT_ANSWERS]:
            del data[old]
    return data


def _unreached(state: State, message: Unreached) -> Outcome:
    if not state.link.heard and state.view.screen != "launcher":
        state = replace(state, views=(View("launcher"),), prompt=None, question=None, help=False)
    since = state.link.since if state.link.condition == "away" else message.at
    link = Link("away", since, state.link.heard, message.reason, message.tries, message.at + message.pause)
    return replace(state, link=link, now=max(state.now, message.at)), ()


def _launched(state: State, message: Launched) -> Outcome:
    if state.launching is None:
        return state, ()
    return replace(state, launching=replace(state.launching, pid=message.pid, log=message.log)), (Refresh(),)


def _launch_failed(state: State, message: LaunchFailed) -> Outcome:
    if state.launching is None:
        return state, ()
    if state.view.screen != "launcher":  # it was up, and ended: the link says so by itself
        return replace(state, launching=None), ()
    return replace(state, launching=replace(state.launching, problem=message.text)), ()


def _happened(state: State, message: Happened) -> Outcome:
    state = _heard(state, message.at)
    return replace(state, live=(*state.live, *message.events)[-LIVE_EVENTS:]), ()


def _acted(state: State, message: Acted) -> Outcome:
    state = replace(state, pending=tuple(act for act in state.pending if act is not message.act))
    screen = SCREENS[state.view.screen]
    done = getattr(screen, "acted", None)
    if done is not None and (outcome := done(state, message)) is not None:
        return outcome
    if message.problem is not None:
        faults = "; ".join(f"{pointer or 'it'} {detail}" for pointer, detail in message.faults)
        return state.said(f"{message.act.about}: {message.problem}" + (f" ({faults})" if faults else ""), "bad", 12.0), (Refresh(),)
    return state.said(message.act.said), (Refresh(),)


# ---- what a person does -----------------------------------------------------------------------------------------


def _pressed(state: State, message: Pressed) -> Outcome:
    if message.key == "ctrl-c" and state.prompt is None:
        return state, (Quit(),)
    if state.question is not None:
        return _answered(state, message.key)
    if state.prompt is not None:
        return prompts.pressed(state, message.key)
    screen = SCREENS[state.view.screen]
    if screen.typing(state):
        typed = screen.type(state, message)
        if typed is not None:
            return typed
    if state.help:
        return _in_help(state, message.key)
    command = command_of(message.key, (*screen.keys, GLOBAL))
    return _commanded(state, command, message.key) if command is not None else (state, ())


def _commanded(state: State, command: str, key: str) -> Outcome:
    outcome = SCREENS[state.view.screen].command(state, command, key)
    if outcome is not None:
        return start(*outcome)
    handler = _COMMANDS.get(command)
    return handler(state, key) if handler is not None else (state, ())


def _pasted(state: State, message: Pasted) -> Outcome:
    text = message.text.replace("\r\n", "\n").replace("\r", "\n")
    if state.prompt is not None:
        return replace(state, prompt=replace(state.prompt, line=state.prompt.line.insert(text.replace("\n", " ").strip()))), ()
    screen = SCREENS[state.view.screen]
    paste = getattr(screen, "paste", None)
    if paste is not None and screen.typing(state):
        return paste(state, text), ()
    return state, ()


def _clicked(state: State, message: Clicked) -> Outcome:
    if state.question is not None or state.prompt is not None:
        return state, ()
    if state.help:
        return replace(state, help=False), ()
    if message.y == 0:
        return _tab_at(state, message.x), ()
    outcome = SCREENS[state.view.screen].click(state, message.what, message.x, message.y - 1)
    return start(*outcome) if outcome is not None else (state, ())


def _tab_at(state: State, x: int) -> State:
    from console.render import tab_places

    for name, first, last in tab_places(state):
        if first <= x < last:
            return goto(state, name)
    return state


def _answered(state: State, key: str) -> Outcome:
    question = state.question
    assert question is not None
    state = replace(state, question=None)
    if key in ("y", "Y", "enter"):
        return start(state, question.effects)
    return (state.said("Nothing was done.", "dim", 2.0), ()) if key in ("n", "N", "esc", "q", "ctrl-c") else (replace(state, question=question), ())


def start(state: State, effects: tuple[Effect, ...]) -> Outcome:
    """Remembers what is under way, so that a screen can say so."""
    acts = tuple(effect for effect in effects if isinstance(effect, Act))
    return (replace(state, pending=(*state.pending, *acts)) if acts else state), effects


# ---- commands that every screen has -----------------------------------------------------------------------------


def _back(state: State, key: str) -> Outcome:
    view = state.view
    if view.marked:
        return state.change(marked=frozenset()), ()
    if view.query and key == "esc":
        return state.change(query="", cursor=0, top=0, chosen=None), ()
    return (replace(state, views=state.views[:-1]) if len(state.views) > 1 else state), ()


def _next(state: State, step: int) -> Outcome:
    here = next((view.screen for view in reversed(state.views) if view.screen in TABS), TABS[0])
    return goto(state, TABS[(TABS.index(here) + step) % len(TABS)]), ()


def _screen(state: State, key: str) -> Outcome:
    index = (int(key) - 1) % 10
    return (goto(state, TABS[index]), ()) if index < len(TABS) else (state, ())


def _in_help(state: State, key: str) -> Outcome:
    return (state, (Quit(),)) if key == "ctrl-c" else (replace(state, help=False), ())


_COMMANDS: dict[str, Callable[[State, str], Outcome]] = {
    "help": lambda state, key: (replace(state, help=not state.help), ()),
    "palette": lambda state, key: (prompts.palette(state), ()),
    "filter": lambda state, key: (prompts.filter_prompt(state), ()),
    "back": _back,
    "next": lambda state, key: _next(state, 1),
    "previous": lambda state, key: _next(state, -1),
    "screen": _screen,
    "new-task": lambda state, key: (state.opened(View("new-task")), ()),
    "redraw": lambda state, key: (state, (Redraw(),)),
    "refresh": lambda state, key: (state.said("Reading anew.", "dim", 1.0), (Refresh(),)),
    "quit": lambda state, key: (state, (Quit(),)),
}
_HANDLERS: dict[type, Any] = {
    Ticked: _ticked, Resized: _resized, Received: _received, Refused: _refused, Unreached: _unreached, Happened: _happened,
    Acted: _acted, Launched: _launched, LaunchFailed: _launch_failed, Pressed: _pressed, Pasted: _pasted, Clicked: _clicked,
}  # fmt: skip
