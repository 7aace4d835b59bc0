"""The help: every key of the screen that is shown, made from the key tables, and the query language. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from console import text
from console.keys import GLOBAL, MOVING, Key, shown
from console.screens import SCREENS
from console.state import State
from contracts.query.fields import FIELDS

Line = tuple[str, str]  # what one types, and what it does; a heading has no second part, and BELOW says that it stands in the next line
BELOW = " "
BY_LANGUAGE = ("dashboard", "jobs", "dead-letters")
LANGUAGE = (
    ("word", "jobs whose payload, error or output has the word"),
    ('"two words"', "jobs that have them side by side"),
    ("a b", "both"), ("a OR b", "one of them"), ("-a", "not a"), ("(a OR b) c", "in groups"),
)  # fmt: skip


COLUMNS = 104  # of the window, where the terminal has them


def lines(state: State) -> list[Line]:
    """What is shown, line by line: a sentence that is too long goes on in the next one, without a key."""
    shown_lines: list[Line] = []
    names = names_room(state)
    for keys, meaning in _lines(state):
        first, *rest = wrapped(meaning, min(COLUMNS, state.columns) - 5 - names)
        whole = [(keys, BELOW), ("", first)] if meaning and text.width(keys) >= names else [(keys, first)]
        shown_lines += [*whole, *(("", more) for more in rest)]
    return shown_lines


def names_room(state: State) -> int:
    """Columns of the keys."""
    longest = max((text.width(keys) for keys, meaning in _lines(state) if meaning), default=0)
    return min(longest + 2, max((min(COLUMNS, state.columns) - 2) // 4, 20))


def wrapped(said: str, columns: int) -> list[str]:
    """A clean sentence as lines of at most so many columns, broken between words."""
    if text.width(said) <= columns:
        return [said]
    from wcwidth import wrap

    return list(wrap(said, max(columns, 10)))


def _lines(state: State) -> Iterator[Line]:
    screen = SCREENS[state.view.screen]
    yield screen.title, ""
    for table in screen.keys:
        if table is not MOVING:
            yield from (_key(entry, state.ascii_only) for entry in table if entry.help)
    if any(table is MOVING for table in screen.keys):
        yield "Moving", ""
        yield from (_key(entry, state.ascii_only) for entry in MOVING)
    yield "Everywhere", ""
    yield from (_key(entry, state.ascii_only) for entry in GLOBAL if entry.help and entry.command not in screen.without)
    yield "mouse", "Click to select, again to open; a heading sorts; the wheel moves; tabs and these keys at the foot can be clicked."
    if state.view.screen in BY_LANGUAGE:
        yield "Filters", ""
        yield from ((field.example, field.meaning) for field in FIELDS.values())
        yield from LANGUAGE
        yield "@name", "a saved filter; :save name keeps the filter that is on, :forget name drops it"


def _key(entry: Key, ascii_only: bool) -> Line:
    if len(entry.keys) > 3:
        return f"{shown(entry.keys[0], ascii_only)} .. {shown(entry.keys[-1], ascii_only)}", entry.help
    return ", ".join(shown(key, ascii_only) for key in entry.keys), entry.help


def room(state: State) -> int:
    """Lines of the help that fit at once."""
    return max(state.lines - 5, 1)


def pressed(state: State, key: str) -> State:
    """Moves within the help; any other key closes it."""
    page = room(state)
    steps = {"down": 1, "j": 1, "up": -1, "k": -1, "pgdn": page, "space": page, "ctrl-f": page, "pgup": -page, "ctrl-b": -page,
             "g": -(1 << 20), "home": -(1 << 20), "G": 1 << 20, "end": 1 << 20}  # fmt: skip
    return _moved(state, steps[key]) if key in steps else replace(state, help=None)


def clicked(state: State, what: str) -> State:
    steps = {"wheel-up": -3, "wheel-down": 3}
    return _moved(state, steps[what]) if what in steps else replace(state, help=None)


def _moved(state: State, step: int) -> State:
    last = max(len(lines(state)) - room(state), 0)
    return replace(state, help=min(max((state.help or 0) + step, 0), last))
