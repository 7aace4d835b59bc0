"""The keys: what each does, in tables from which the footer and the help are made. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """`keys` as the terminal names them (`enter`, `ctrl-u`, `r`), the command that they give, a word for the footer
    (empty: not shown there) and a sentence for the help."""

    keys: tuple[str, ...]
    command: str
    label: str
    help: str


GLOBAL = (
    Key(("?", "f1"), "help", "help", "Show every key of this screen."),
    Key((":",), "palette", "go", "Go to a screen or do something by its name."),
    Key(("q", "ctrl-c"), "quit", "quit", "Leave the console; nothing else stops."),
    Key(("esc",), "back", "", "Close what is open, or go back one level."),
    Key(("N",), "new-task", "new task", "Submit a job with a form made from its schema."),
    Key(("o",), "operations", "", "What is under way: actions on jobs, followed to their end."),
    Key(("A",), "alerts", "", "The alerts, and what to do about them."),
    Key(("tab",), "next", "", "Next screen, tab or field."),
    Key(("shift-tab",), "previous", "", "Previous screen, tab or field."),
    Key(("1", "2", "3", "4", "5", "6", "7", "8", "9"), "screen", "", "Go to the screen of that number."),
    Key(("ctrl-l",), "redraw", "", "Draw everything anew."),
    Key(("ctrl-r", "f5"), "refresh", "", "Read everything anew now."),
    Key(("ctrl-z",), "suspend", "", "Back to the shell; fg continues the console."),
)
PINNED = ("help", "palette", "quit")  # always shown, at the right
MOVING = (
    Key(("down", "j"), "down", "", "One line down."),
    Key(("up", "k"), "up", "", "One line up."),
    Key(("pgdn", "ctrl-f", "space"), "page-down", "", "One page down."),
    Key(("pgup", "ctrl-b"), "page-up", "", "One page up."),
    Key(("g", "home"), "first", "", "To the first line."),
    Key(("G", "end"), "last", "", "To the last line."),
)
OPENING = (Key(("enter", "right", "l"), "open", "open", "Open what is selected."), Key(("left", "h"), "back", "", "Go back one level."))


def command_of(key: str, tables: Iterable[Iterable[Key]]) -> str | None:
    """The command that a key gives, by the first table that knows it."""
    for table in tables:
        for entry in table:
            if key in entry.keys:
                return entry.command
    return None


SHOWN = {"enter": "↵", "esc": "Esc", "space": "Space", "tab": "Tab", "shift-tab": "S-Tab", "pgdn": "PgDn", "pgup": "PgUp", "up": "↑", "down": "↓",
         "left": "←", "right": "→"}  # fmt: skip


def shown(key: str, ascii_only: bool = False) -> str:
    """A key as people write it: `^R`, `↵`, `F5`."""
    if ascii_only and key in ("enter", "up", "down", "left", "right"):
        return key.capitalize()
    if key in SHOWN:
        return SHOWN[key]
    if key.startswith("ctrl-"):
        return f"^{key[5:].upper()}"
    return key.capitalize() if len(key) > 1 else key
