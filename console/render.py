"""A frame: the header, the screen, the foot, and what lies over it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from console import helping, operations, text
from console.keys import GLOBAL, PINNED, Key, shown
from console.screens import SCREENS, TABS
from console.state import Question, State
from console.wants import ALERTS
from console.widgets.canvas import Area, Canvas, Span, box

SMALLEST = (40, 8)
CONDITION_COLUMNS = 34
SUGGESTIONS = 8
SHORT = {"dashboard": "dash", "dead-letters": "dead", "schedules": "sched", "contracts": "contr", "functions": "funcs"}
Place = tuple[str, int, int]  # a name or a key, its first column, and the column after it


def render(state: State) -> Canvas:
    """The frame of a state, as large as its terminal."""
    canvas = Canvas(state.columns, state.lines)
    if state.columns < SMALLEST[0] or state.lines < SMALLEST[1]:
        canvas.area().put(0, 0, f"too small: {SMALLEST[0]} x {SMALLEST[1]} is needed", "warn")
    else:
        _draw(canvas.area(), state)
    if state.ascii_only:
        canvas.to_ascii()
    return canvas


def _draw(area: Area, state: State) -> None:
    _header(area.part(0, 0, lines=1), state)
    screen = SCREENS[state.view.screen]
    screen.draw(area.part(0, 1, lines=state.lines - 2), state, state.view)
    if state.prompt is not None:
        _prompt(area, state)
    else:
        _footer(area.part(0, state.lines - 1), state)
    if state.help is not None:
        _help(area, state, state.help)
    if state.question is not None:
        _question(area, state, state.question)


# ---- header -----------------------------------------------------------------------------------------------------


def tab_places(state: State) -> Iterator[Place]:
    """Where each tab stands in the header; none while the launcher is shown."""
    if state.view.screen == "launcher":
        return
    x = len(_brand(state)) + 1
    for label, name in zip(_tabs(state), TABS, strict=True):
        yield name, x, x + len(label)
        x += len(label)


def _brand(state: State) -> str:
    return f" {text.fit(text.clean(state.name or 'observatory'), 20)} "


def _here(state: State) -> str:
    return next((view.screen for view in reversed(state.views) if view.screen in TABS), "")


def _tabs(state: State) -> list[str]:
    """Whole names where they leave room for how things stand with the server, else short ones, else numbers and one name."""
    wanted = sum(text.width(said) for said, _ in _condition(state)[1:])  # all but the next try, which gives way first
    room, here = state.columns - len(_brand(state)) - max(CONDITION_COLUMNS, wanted + 1), _here(state)
    whole = [f" {number} {name.replace('-', ' ')} " for number, name in enumerate(TABS, 1)]
    short = [f" {number} {SHORT.get(name, name)}" for number, name in enumerate(TABS, 1)]
    numbers = [f" {number} {SHORT.get(name, name)} " if name == here else f" {number}" for number, name in enumerate(TABS, 1)]
    return next((labels for labels in (whole, short) if sum(map(len, labels)) <= room), numbers)


def _header(area: Area, state: State) -> None:
    area.put(0, 0, " " * area.columns, "")
    area.put(0, 0, _brand(state), "brand")
    here, last = _here(state), len(_brand(state))
    for (name, first, after), label in zip(tab_places(state), _tabs(state), strict=False):
        area.put(first, 0, label, "title" if name == here else "dim")
        last = after
    if not here:
        last = area.put(last + 1, 0, SCREENS[state.view.screen].title, "title")
    area.tint(0, "@bar", x=len(_brand(state)))
    spans = _condition(state)
    while spans and sum(text.width(said) for said, _ in spans) > area.columns - last - 1:
        spans = spans[1:]
    area.right(0, [(said, f"{style}@bar") for said, style in spans])


def _condition(state: State) -> list[Span]:
    """The next try, the address, what is under way, alerts, and how things stand: what comes first gives way first."""
    link, alerts = state.link, len(state.items(ALERTS))
    next_try = f"try {link.tries + 1} in {max(link.next_try - state.now, 0.0):.0f} s  " if link.condition == "away" else ""
    spans: list[Span] = [(next_try, "warn"), (f"{text.clean(state.url.removeprefix('http://'))}  ", "dim")]
    if state.operations:
        more = f" +{len(state.operations) - 1}" if len(state.operations) > 1 else ""
        spans.append((f"{operations.progress(state.operations[0])}{more}  ", "warn"))
    if alerts:
        spans.append((f"{'!' if state.ascii_only else '▲'} {alerts} alert{'s' * (alerts != 1)}  ", "bad"))
    if link.condition == "connecting":
        return [*spans, ("connecting ", "warn")]
    stale = state.stale(*SCREENS[state.view.screen].wants(state, state.view))
    if stale is not None:
        return [*spans, (f"STALE {text.age(stale)} ", "bad")]
    return [*spans, ("live ", "ok") if link.condition == "live" else ("no answer ", "bad")]


# ---- foot -------------------------------------------------------------------------------------------------------


def key_places(state: State) -> Iterator[Place]:
    """Where each key stands in the foot."""
    for key, x, label in _labels(state):
        yield key, x, x + len(_shown(key, state)) + 1 + len(label)


def _shown(key: str, state: State) -> str:
    return shown(key, state.ascii_only)


def _entries(state: State) -> Iterator[Key]:
    """The keys of this screen, its own first, then those of every screen; while letters are text, those alone that are none."""
    screen = SCREENS[state.view.screen]
    typing = screen.typing(state)
    for table in (*screen.keys, GLOBAL):
        for entry in table:
            keys = tuple(key for key in entry.keys if len(key) > 1) if typing and table is GLOBAL else entry.keys
            if keys and not (typing and entry.command == "quit") and not (table is GLOBAL and entry.command in screen.without):
                yield replace(entry, keys=keys)


def _labels(state: State) -> Iterator[tuple[str, int, str]]:
    """(key, column, label), made from the key tables: as many as there is room for, and help, palette and quit at the right."""
    wanted = {entry.command or entry.keys[0]: entry for entry in reversed(list(_entries(state))) if entry.label}
    pinned = [wanted[command] for command in PINNED if command in wanted]
    right = state.columns - sum(len(_shown(entry.keys[0], state)) + len(entry.label) + 3 for entry in pinned)
    x = 1
    for command, entry in reversed(wanted.items()):
        columns = len(_shown(entry.keys[0], state)) + len(entry.label) + 1
        if command in PINNED:
            continue
        if x + columns + 1 > right:
            break
        yield entry.keys[0], x, entry.label
        x += columns + 2
    for entry in pinned:
        yield entry.keys[0], right, entry.label
        right += len(_shown(entry.keys[0], state)) + len(entry.label) + 3


def _footer(area: Area, state: State) -> None:
    area.put(0, 0, " " * area.columns, "")
    if state.note is not None:
        area.put(1, 0, state.note.text, state.note.style)
    elif state.link.condition == "away" and state.link.heard:
        area.put(1, 0, f"No answer: {state.why_away}. What is shown was read before. Trying again by itself.", "warn")
    else:
        for key, x, label in _labels(state):
            area.spans(x, 0, [(_shown(key, state), "key"), (f" {label}", "dim")])
    area.tint(0, "@bar")


# ---- what is typed ----------------------------------------------------------------------------------------------


def _prompt(area: Area, state: State) -> None:
    prompt = state.prompt
    assert prompt is not None
    foot = area.part(0, area.lines - 1)
    foot.put(0, 0, " " * foot.columns, "input@bar")
    x = foot.put(0, 0, f"{prompt.label} " if len(prompt.label) > 1 else prompt.label, "key@bar")
    said, caret = prompt.line.shown(foot.columns - x - 1)
    foot.put(x, 0, said, "input@bar")
    foot.put(x + caret, 0, _at(said, caret), "caret")
    above = 1
    if prompt.fault:
        style = "bad" if prompt.line.caret == len(prompt.line.text) and not prompt.choices else "warn"
        fault = helping.wrapped(text.clean(prompt.fault), area.columns - 2)[: area.lines - 2]
        for line, said in enumerate(fault, area.lines - 1 - len(fault)):
            _bar(area, line, [(said, style)])
        above += len(fault)
    _suggestions(area.part(0, 0, lines=area.lines - above), prompt.choices, prompt.at)


def _at(said: str, column: int) -> str:
    """The character at a column of a text, for the caret to stand on."""
    for end in range(1, len(said) + 1):
        if text.width(said[:end]) > column:
            return said[end - 1]
    return " "


def _bar(area: Area, y: int, spans: Sequence[Span]) -> None:
    area.put(0, y, " " * area.columns, "")
    area.spans(1, y, spans)
    area.tint(y, "@panel")


def _suggestions(area: Area, choices: Sequence[tuple[str, str]], at: int) -> None:
    """The completions around the marked one, each with what it means, at the bottom of an area."""
    most = min(SUGGESTIONS, area.lines - 2)
    first = min(max(at - most + 1, 0), max(len(choices) - most, 0))
    picked = list(enumerate(choices))[first : first + most]
    room = max((text.width(name) for _, (name, _) in picked), default=0) + 2
    for line, (index, (name, meaning)) in enumerate(picked):
        y = area.lines - len(picked) + line
        more = f"   {len(choices)} in all" if line == len(picked) - 1 and len(choices) > len(picked) else ""
        _bar(area, y, [(text.pad(text.clean(name), room), "key" if index == at else "title"), (f"{text.clean(meaning)}{more}", "dim")])
        if index == at:
            area.tint(y, "@cursor")


# ---- over it ----------------------------------------------------------------------------------------------------


def _window(area: Area, columns: int, lines: int, title: str, state: State) -> Area:
    columns, lines = min(columns, area.columns), min(lines, area.lines)
    window = area.part((area.columns - columns) // 2, (area.lines - lines) // 2, columns, lines)
    window.clear()
    return box(window, title, "accent", "title", state.ascii_only)


def _question_size(state: State, question: Question) -> tuple[int, int]:
    longest = max(text.width(text.clean(said)) for said in (question.text, *question.details, "x" * 34))
    return min(longest + 6, state.columns), min(min(len(question.details), 10) + 6, state.lines)


def choice_places(state: State, y: int) -> Iterator[Place]:
    """Where the choices of the question stand on a line of the screen."""
    question = state.question
    if question is None:
        return
    columns, lines = _question_size(state, question)
    if y != (state.lines - lines) // 2 + lines - 2:
        return
    x = (state.columns - columns) // 2 + 2
    for choice in question.choices:
        after = x + len(_shown(choice.keys[0], state)) + 1 + len(choice.label)
        yield choice.keys[0], x, after
        x = after + 3


def _question(area: Area, state: State, question: Question) -> None:
    inner = _window(area, *_question_size(state, question), "Sure?" if len(question.choices) == 2 else "What?", state)
    inner.put(1, 1, question.text, "title")
    for line, said in enumerate(question.details[:10]):
        inner.put(1, 2 + line, said, "dim")
    spans: list[Span] = []
    for choice in question.choices:
        spans += [(_shown(choice.keys[0], state), "key"), (f" {choice.label}   ", "dim")]
    inner.spans(1, inner.lines - 1, spans)


def _help(area: Area, state: State, top: int) -> None:
    lines = helping.lines(state)
    room = helping.room(state)
    inner = _window(area, helping.COLUMNS, min(len(lines), room) + 3, "Help", state)
    names = helping.names_room(state)
    for y, (keys, meaning) in enumerate(lines[top : top + room]):
        if not meaning:
            inner.put(1, y, keys, "heading")
            continue
        inner.put(2, y, keys, "key", None if meaning == helping.BELOW else names - 1)
        inner.put(2 + names, y, meaning, "")
    more = f"{min(top + room, len(lines))} of {len(lines)}; arrows scroll, " if len(lines) > room else ""
    inner.put(1, inner.lines - 1, f"{more}any other key closes this".capitalize() + ".", "dim")
