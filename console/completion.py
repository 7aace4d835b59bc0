"""What may come next in a filter or in the palette, and what is wrong with a filter. Pure."""

from console.state import State, Want
from console.widgets.line import Line
from contracts.job import JobStatus

SCREEN_NAMES = ("dashboard", "jobs", "events", "dead-letters", "queues", "schedules", "contracts", "functions", "audit")
ACTIONS = ("new", "job", "ctx", "save", "quit")


def of_palette(state: State, words: str) -> tuple[str, ...]:
    verb, space, rest = words.partition(" ")
    if space and verb == "ctx":
        return tuple(f"ctx {name}" for name, _ in state.contexts if name.startswith(rest))
    if space and verb == "new":
        return tuple(f"new {task['type']}" for task in state.items(TASKS) if str(task["type"]).startswith(rest))
    return tuple(name for name in (*SCREEN_NAMES, *ACTIONS) if name.startswith(words))


TASKS = Want("/v1/tasks", every=0)


def of_query(state: State, line: Line) -> tuple[str, ...]:
    """What the word at the caret may become."""
    word = line.text[: line.caret].rpartition(" ")[2].removeprefix("-")
    if word.startswith("@"):
        return tuple(f"@{name}" for name, _ in state.filters if name.startswith(word[1:]))
    field, colon, value = word.partition(":")
    if not colon:
        return tuple(name for name in FIELDS if name.startswith(field))
    values = {"state": [str(s) for s in JobStatus], "type": [t["type"] for t in state.items(TASKS)], "queue": [q["name"] for q in state.items(QUEUES)]}
    return tuple(f"{field}:{known}" for known in values.get(field, ()) if known.startswith(value))


QUEUES = Want("/v1/queues")
FIELDS = ("state:", "type:", "queue:", "tag:", "id:", "age>", "age<", "duration>", "duration<", "attempt>", "error:", "payload.")


def taken(line: Line, choice: str) -> str:
    """The line with the word at the caret replaced by a completion."""
    head, tail = line.text[: line.caret], line.text[line.caret :]
    before, space, word = head.rpartition(" ")
    minus = "-" if word.startswith("-") else ""
    end = " " if not choice.endswith((":", ">", "<", ".")) else ""
    return before + space + minus + choice + end + tail


def fault_of(query: str) -> str:
    """What is wrong with a filter, pointing at the character; empty when it is right."""
    return ""
