"""A frame: the header, the screen, the foot, and what lies over it. Pure."""

from collections.abc import Iterator, Sequence

from console import text
from console.keys import GLOBAL, Key, shown
from console.screens import SCREENS, TABS
from console.state import ALERTS, State
from console.widgets.canvas import Area, Canvas, Span, box

SMALLEST = (40, 8)
CONDITION_COLUMNS = 44


def render(state: State) -> Canvas:
    """The frame of a state, as large as its terminal."""
    canvas = Canvas(state.columns, state.lines)
    area = canvas.area()
    if state.columns < SMALLEST[0] or state.lines < SMALLEST[1]:
        area.put(0, 0, f"too small: {SMALLEST[0]} x {SMALLEST[1]} is needed", "warn")
        return canvas
    _header(area.part(0, 0, lines=1), state)
    screen = SCREENS[state.view.screen]
    screen.draw(area.part(0, 1, lines=state.lines - 2), state, state.view)
    if state.prompt is not None:
        _prompt(area, state)
    else:
        _footer(area.part(0, state.lines - 1), state)
    if state.help:
        _help(area, state)
    if state.question is not None:
        _question(area, state)
    return canvas


# ---- header -----------------------------------------------------------------------------------------------------


def tab_places(state: State) -> Iterator[tuple[str, int, int]]:
    """(screen, first column, column after) of each tab in the header."""
    x = len(_brand(state)) + 1
    for number, name in enumerate(TABS, 1):
        label = _tab(number, name, state)
        yield name, x, x + len(label)
        x += len(label)


def _brand(state: State) -> str:
    return f" {text.fit(text.clean(state.name or 'observatory'), 20)} "


def _tab(number: int, name: str, state: State) -> str:
    """Whole names where they leave room for how things stand with the server, else beginnings, else numbers."""
    room = state.columns - len(_brand(state)) - CONDITION_COLUMNS
    if room >= sum(len(tab) + 4 for tab in TABS):
        return f" {number % 10} {name} "
    return f" {number % 10} {name[:4]}" if room >= 7 * len(TABS) else f" {number % 10}"


def _header(area: Area, state: State) -> None:
    area.put(0, 0, " " * area.columns, "")
    area.put(0, 0, _brand(state), "brand")
    here = next((view.screen for view in reversed(state.views) if view.screen in TABS), "")
    last = len(_brand(state))
    for name, first, after in tab_places(state) if state.view.screen != "launcher" else ():
        area.put(first, 0, _tab(TABS.index(name) + 1, name, state), "title" if name == here else "dim")
        last = after
    if _tab(1, "dashboard", state) == " 1":
        last = area.put(last + 1, 0, f"{SCREENS[state.view.screen].title}", "title")
    area.tint(0, "@bar", x=len(_brand(state)))
    spans = _condition(state)
    room = area.columns - last - 1
    while spans and sum(text.width(t) for t, _ in spans) > room:
        spans = spans[1:]
    area.right(0, [(t, f"{style}@bar") for t, style in spans])


def _condition(state: State) -> list[Span]:
    spans: list[Span] = []
    alerts = len(state.items(ALERTS))
    if alerts:
        spans.append((f"{'!' if state.ascii_only else '▲'} {alerts} alert{'s' * (alerts != 1)}  ", "bad"))
    if state.pending:
        spans.append((f"{len(state.pending)} under way  ", "warn"))
    link = state.link
    if link.condition == "live":
        return [*spans, (f"{state.url.removeprefix('http://')} ", "dim"), ("live ", "ok")]
    if link.condition == "connecting":
        return [*spans, (f"{state.url} ", "dim"), ("connecting ", "warn")]
    wait = max(link.next_try - state.now, 0.0)
    stale = state.stale_seconds
    age = f"STALE {text.duration(round(stale))} " if stale is not None else "no answer "
    return [*spans, (f"try {link.tries + 1} in {wait:.0f} s  ", "warn"), (age, "bad")]


# ---- foot -------------------------------------------------------------------------------------------------------


def _footer(area: Area, state: State) -> None:
    area.put(0, 0, " " * area.columns, "")
    if state.note is not None:
        area.put(1, 0, state.note.text, state.note.style)
    elif state.link.condition == "away" and state.link.heard:
        area.put(1, 0, f"{state.link.reason}; what is shown was read before. Trying again by itself.", "warn")
    else:
        _labels(area, state)
    area.tint(0, "@bar")


def _labels(area: Area, state: State) -> None:
    x = 1
    seen: set[str] = set()
    for entry in _entries(state):
        if not entry.label or entry.command in seen:
            continue
        seen.add(entry.command)
        key = shown(entry.keys[0], state.ascii_only)
        if x + len(key) + len(entry.label) + 3 > area.columns:
            break
        x = area.put(x, 0, key, "key")
        x = area.put(x + 1, 0, entry.label, "dim") + 2


def _entries(state: State) -> Iterator[Key]:
    """The keys of this screen, its own first; those of typing are the screen's to say."""
    screen = SCREENS[state.view.screen]
    for table in (*screen.keys, GLOBAL):
        yield from table


def _prompt(area: Area, state: State) -> None:
    prompt = state.prompt
    assert prompt is not None
    foot = area.part(0, area.lines - 1)
    foot.put(0, 0, " " * foot.columns, "input@bar")
    x = foot.put(0, 0, f"{prompt.label} " if len(prompt.label) > 1 else prompt.label, "key@bar")
    said, caret = prompt.line.shown(foot.columns - x - 1)
    foot.put(x, 0, said, "input@bar")
    foot.put(x + caret, 0, said[caret : caret + 1] or " ", "caret")
    if prompt.fault:
        above = area.part(0, area.lines - 2)
        above.put(0, 0, " " * above.columns, "")
        above.put(1, 0, prompt.fault, "bad")
    elif prompt.choices:
        _choices(area, prompt.choices, prompt.at)


def _choices(area: Area, choices: Sequence[str], at: int) -> None:
    above = area.part(0, area.lines - 2)
    above.put(0, 0, " " * above.columns, "")
    x, first = 1, max(at - 5, 0)
    for index, choice in enumerate(choices[first:], first):
        if x + len(choice) + 2 > above.columns:
            break
        x = above.put(x, 0, choice, "key" if index == at else "dim") + 2
    above.tint(0, "@panel")


# ---- over it ----------------------------------------------------------------------------------------------------


def _window(area: Area, columns: int, lines: int, title: str, state: State) -> Area:
    columns, lines = min(columns, area.columns), min(lines, area.lines)
    window = area.part((area.columns - columns) // 2, (area.lines - lines) // 2, columns, lines)
    window.clear()
    return box(window, title, "accent", "title", state.ascii_only)


def _question(area: Area, state: State) -> None:
    question = state.question
    assert question is not None
    columns = min(max(len(question.text), *(len(line) for line in question.details), 30) + 6, area.columns)
    inner = _window(area, columns, min(len(question.details), 10) + 6, "Sure?", state)
    inner.put(1, 1, question.text, "title")
    for line, said in enumerate(question.details[:10]):
        inner.put(1, 2 + line, said, "dim")
    inner.spans(1, inner.lines - 1, [("y", "key"), (" yes  ", "dim"), ("n", "key"), (" no", "dim")])


def _help(area: Area, state: State) -> None:
    entries = [entry for entry in _entries(state) if entry.help]
    half = max(area.lines - 4, 1)
    columns = min(area.columns, 110 if len(entries) > half else 70)
    inner = _window(area, columns, min(len(entries), half) + 3, f"Keys: {SCREENS[state.view.screen].title}", state)
    columns = 2 if len(entries) > inner.lines - 1 and inner.columns >= 90 else 1
    room = inner.columns // columns
    for index, entry in enumerate(entries):
        column, line = divmod(index, max(inner.lines - 1, 1))
        if column >= columns:
            break
        part = inner.part(column * room, 0, room)
        keys = ", ".join(shown(key, state.ascii_only) for key in entry.keys[:3]) if len(entry.keys) <= 3 else f"{entry.keys[0]} .. {entry.keys[-1]}"
        part.put(1, line, keys, "key", 14)
        part.put(16, line, entry.help, "")
    inner.put(1, inner.lines - 1, "Any key closes this.", "dim")
