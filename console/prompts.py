"""The line at the foot that a person types into: filters, the palette, reasons. Pure."""

from dataclasses import replace
from typing import Any

from console import completion
from console.moving import goto
from console.screens.screen import Outcome
from console.state import Act, Connect, Keep, Prompt, Quit, State, View
from console.widgets.line import Line


def filter_prompt(state: State) -> State:
    line = Line.of(state.view.query)
    return replace(state, prompt=Prompt("filter", "/", line, completion.of_query(state, line) if _by_language(state) else ()))


def palette(state: State) -> State:
    return replace(state, prompt=Prompt("palette", ":", Line(), completion.of_palette(state, "")))


def ask(state: State, label: str, then: Any, text: str = "") -> State:
    """Asks for a line; `then(state, text)` gives the outcome."""
    return replace(state, prompt=Prompt("ask", label, Line.of(text), context=then))


def pressed(state: State, key: str) -> Outcome:
    """A key while a prompt is open."""
    prompt = state.prompt
    assert prompt is not None
    if key in ("esc", "ctrl-c") or (key == "backspace" and not prompt.line.text):
        return replace(state, prompt=None), ()
    if key in ("tab", "shift-tab", "down", "up") and prompt.choices:
        step = 1 if key in ("tab", "down") else -1
        return replace(state, prompt=replace(prompt, at=(prompt.at + step) % len(prompt.choices) if prompt.at >= 0 or step > 0 else -1)), ()
    if key == "enter":
        if prompt.at >= 0 and prompt.purpose == "filter":
            return _with_line(state, prompt, completion.taken(prompt.line, prompt.choices[prompt.at])), ()
        return _SUBMIT[prompt.purpose](state, prompt)
    line = prompt.line.press(key)
    return (_with_line(state, prompt, line), ()) if line is not None else (state, ())


def _with_line(state: State, prompt: Prompt, line: Line) -> State:
    choices = prompt.choices
    if prompt.purpose == "filter":
        choices = completion.of_query(state, line) if _by_language(state) else ()
    elif prompt.purpose == "palette":
        choices = completion.of_palette(state, line.text)
    fault = _fault(state, line.text) if prompt.purpose == "filter" else ""
    return replace(state, prompt=replace(prompt, line=line, choices=choices, at=-1, fault=fault))


def _fault(state: State, query: str) -> str:
    """What is wrong with the filter; screens that look for plain words take any."""
    return "" if query.startswith("@") or not _by_language(state) else completion.fault_of(query)


def _by_language(state: State) -> bool:
    return state.view.screen in ("dashboard", "jobs") or (state.view.screen == "dead-letters" and state.view.tab == 1)


def _filtered(state: State, prompt: Prompt) -> Outcome:
    query = prompt.line.text.strip()
    if query.startswith("@"):  # a saved filter by its name
        query = dict(state.filters).get(query[1:], query)
    fault = _fault(state, query)
    if fault:
        return replace(state, prompt=replace(prompt, fault=fault)), ()
    return replace(state, prompt=None).change(query=query, cursor=0, top=0, chosen=None, marked=frozenset()), ()


def _gone(state: State, prompt: Prompt) -> Outcome:
    words = prompt.choices[prompt.at] if prompt.at >= 0 else prompt.line.text.strip()
    return run(replace(state, prompt=None), words)


def _said(state: State, prompt: Prompt) -> Outcome:
    from console.update import start

    return start(*prompt.context(replace(state, prompt=None), prompt.line.text.strip()))


_SUBMIT = {"filter": _filtered, "palette": _gone, "ask": _said}


def run(state: State, words: str) -> Outcome:
    """Does what the palette was told: `jobs`, `jobs state:failed`, `job ID`, `new TYPE`, `ctx NAME`, `save NAME`, `quit`."""
    from console.screens import SCREENS

    verb, _, rest = words.partition(" ")
    rest = rest.strip()
    if verb in ("q", "quit", "exit"):
        return state, (Quit(),)
    if verb == "job" and rest:
        return state.opened(View("job", rest)), ()
    if verb == "new":
        return state.opened(View("form", rest) if rest else View("new-task")), ()
    if verb == "ctx":
        return _context(state, rest)
    if verb == "save" and rest:
        filters = (*((n, q) for n, q in state.filters if n != rest), (rest, state.view.query))
        return replace(state, filters=filters).said(f"Saved: / then @{rest} gives {state.view.query or 'everything'}"), (Keep(filters),)
    names = [name for name in SCREENS if name == verb] or [name for name in completion.SCREEN_NAMES if verb and name.startswith(verb)]
    if names:
        return goto(state, names[0], **({"query": rest} if rest else {})), ()
    return state.said(f"There is no {words!r}. Tab shows what there is.", "warn"), ()


def _context(state: State, name: str) -> Outcome:
    url = dict(state.contexts).get(name) or (name if name.startswith(("http://", "https://")) else "")
    if not url:
        known = ", ".join(known for known, _ in state.contexts) or "none is configured; give a URL"
        return state.said(f"There is no context {name!r}: {known}.", "warn"), ()
    return replace(state, data={}, live=(), url=url, views=(View("dashboard"),)), (Connect(url, name),)


__all__ = ["Act", "ask", "filter_prompt", "palette", "pressed", "run"]
