"""The line at the foot that a person types into: filters, the palette, reasons. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from console import completion
from console.messages import Connect, Keep, Quit, Want
from console.moving import goto
from console.screens.screen import Outcome
from console.state import Prompt, State, View
from console.wants import QUEUES, TASKS
from console.widgets.line import Line

TAB_SHOWS = "Tab shows what there is."
ID_CHARACTERS = 36  # of a UUID


def wants(state: State) -> tuple[Want, ...]:
    """What is read to complete from."""
    return (TASKS, QUEUES) if state.prompt is not None and state.prompt.purpose != "ask" else ()


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
        return _turned(state, prompt, 1 if key in ("tab", "down") else -1), ()
    if key == "enter":
        return _SUBMIT[prompt.purpose](state, prompt)
    line = prompt.line.press(key)
    return (_with_line(state, prompt, line), ()) if line is not None else (state, ())


def pasted(state: State, text: str) -> State:
    prompt = state.prompt
    assert prompt is not None
    return _with_line(state, prompt, prompt.line.insert(text.replace("\n", " ").strip()))


def _turned(state: State, prompt: Prompt, step: int) -> State:
    """The line with the next or the previous completion in it; before the first stands what was typed. A single one is taken
    at once, and what comes after it is completed next."""
    places = len(prompt.choices) + 1
    base, at = prompt.line if prompt.at < 0 else prompt.base, (prompt.at + 1 + step) % places - 1
    line = base if at < 0 else completion.taken(base, prompt.choices[at][0]) if prompt.purpose == "filter" else Line.of(prompt.choices[at][0])
    if len(prompt.choices) == 1:
        return _with_line(state, prompt, line)
    fault = _fault(state, line.text) if prompt.purpose == "filter" else ""
    return replace(state, prompt=replace(prompt, line=line, base=base, at=at, fault=fault))


def _with_line(state: State, prompt: Prompt, line: Line) -> State:
    choices: tuple[completion.Suggestion, ...] = ()
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
    fault = _fault(state, query) or (f"There is no saved filter {query}." if query.startswith("@") and _by_language(state) else "")
    if fault:
        return replace(state, prompt=replace(prompt, fault=fault)), ()
    return replace(state, prompt=None).change(query=query, cursor=0, top=0, chosen=None, marked=frozenset(), pages=()), ()


def _gone(state: State, prompt: Prompt) -> Outcome:
    return run(replace(state, prompt=None), prompt.line.text.strip())


def _said(state: State, prompt: Prompt) -> Outcome:
    from console.update import start

    return start(*prompt.context(replace(state, prompt=None), prompt.line.text.strip()))


_SUBMIT = {"filter": _filtered, "palette": _gone, "ask": _said}


# ---- what the palette does --------------------------------------------------------------------------------------


def run(state: State, words: str) -> Outcome:
    """Does what the palette was told: `jobs`, `jobs state:failed`, `job ID`, `new TYPE`, `ctx NAME`, `save NAME`, `quit` ..."""
    verb, _, rest = words.partition(" ")
    rest = rest.strip()
    if verb in ("q", "quit", "exit"):
        return state, (Quit(),)
    if verb == "help":
        return replace(state, help=0), ()
    if verb == "job" and rest:
        return _job(state, rest)
    if verb == "new":
        return state.opened(View("form", rest) if rest else View("new-task")), ()
    if verb == "ctx":
        return _context(state, rest)
    if verb == "theme" and rest in ("dark", "light"):
        return replace(state, theme=replace(state.theme, light=rest == "light")), ()
    if verb in ("save", "forget") and rest:
        return _kept(state, verb, rest)
    name = next((name for name in completion.SCREENS if name == verb), None)
    name = name or next((name for name in completion.SCREENS if verb and name.startswith(verb)), None)
    if name is None:
        return state.said(f"There is no {words!r}. {TAB_SHOWS}", "warn"), ()
    return goto(state, name, **({"query": _query(state, rest)} if rest else {})), ()


def _job(state: State, given: str) -> Outcome:
    """A job by its id, or by the end of the id where this console has seen the job."""
    if len(given) == ID_CHARACTERS:
        return state.opened(View("job", given)), ()
    found = {job_id for job_id in _seen_jobs(state) if job_id.endswith(given)}
    if len(found) == 1:
        return state.opened(View("job", found.pop())), ()
    if found:
        return state.said(f"{len(found)} jobs seen here end in {given}; give more of the id.", "warn"), ()
    return state.said(f"No job seen here ends in {given}; a whole id finds any job.", "warn", 10.0), ()


def _seen_jobs(state: State) -> Iterator[str]:
    for want, answer in state.data.items():
        items = answer.document.get("items") if isinstance(answer.document, Mapping) else None
        if want.path == "/v1/jobs":
            yield from (str(job["id"]) for job in items or ())
        elif want.path.endswith("/events"):
            yield from _subjects(items or ())
    yield from _subjects(state.live)


def _subjects(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (str(event["subject"])[4:] for event in events if str(event["subject"]).startswith("job/"))


def _query(state: State, words: str) -> str:
    return dict(state.filters).get(words[1:], words) if words.startswith("@") else words


def _kept(state: State, verb: str, name: str) -> Outcome:
    others = tuple((known, query) for known, query in state.filters if known != name)
    if verb == "save":
        filters = (*others, (name, state.view.query))
        return replace(state, filters=filters).said(f"Saved: / then @{name} gives {state.view.query or 'everything'}"), (Keep(filters),)
    if len(others) == len(state.filters):
        return state.said(f"There is no saved filter {name!r}.", "warn"), ()
    return replace(state, filters=others).said(f"{name} is forgotten."), (Keep(others),)


def _context(state: State, name: str) -> Outcome:
    known = ", ".join(known for known, _ in state.contexts) or "none is kept yet"
    if not name:
        return state.said(f"ctx NAME or an address. Contexts: {known}.", "dim"), ()
    url = dict(state.contexts).get(name) or (name if "://" in name else "")
    if not url:
        return state.said(f"There is no context {name!r}; known: {known}. An address works, too.", "warn"), ()
    return state, (Connect(url, name if name in dict(state.contexts) else ""),)
