"""What may come next in a filter or in the palette, and what is wrong with a filter. Pure."""

from dataclasses import replace

from console.state import State, Want
from console.widgets.line import Line
from contracts.errors import ObservatoryError
from contracts.query import parse, suggestions, typed_at

SCREEN_NAMES = ("dashboard", "jobs", "events", "dead-letters", "queues", "schedules", "contracts", "functions", "audit")
ACTIONS = ("new", "job", "ctx", "save", "quit")
TASKS = Want("/v1/tasks", every=0)
QUEUES = Want("/v1/queues")


def of_palette(state: State, words: str) -> tuple[str, ...]:
    verb, space, rest = words.partition(" ")
    if space and verb == "ctx":
        return tuple(f"ctx {name}" for name, _ in state.contexts if name.startswith(rest))
    if space and verb == "new":
        return tuple(f"new {task['type']}" for task in state.items(TASKS) if str(task["type"]).startswith(rest))
    return tuple(name for name in (*SCREEN_NAMES, *ACTIONS) if name.startswith(words))


def of_query(state: State, line: Line) -> tuple[str, ...]:
    """What could stand at the caret; `@` begins a saved filter."""
    if line.text.startswith("@"):
        return tuple(f"@{name}" for name, _ in state.filters if name.startswith(line.text[1:]))
    known = {"type": [task["type"] for task in state.items(TASKS)], "queue": [queue["name"] for queue in state.items(QUEUES)]}
    return tuple(suggestions(typed_at(line.text, line.caret), known))


def taken(line: Line, choice: str) -> Line:
    """The line with what stands at the caret replaced by a completion."""
    if choice.startswith("@"):
        return Line.of(choice)
    typed = typed_at(line.text, line.caret)
    end = "" if choice.endswith((":", ".")) or typed.kind == "field" else " "
    text = line.text[: typed.start] + choice + end + line.text[typed.end :]
    return replace(line, text=text, caret=typed.start + len(choice) + len(end))


def fault_of(query: str) -> str:
    """What is wrong with a filter, pointing at the character; empty when it is right."""
    try:
        parse(query)
    except ObservatoryError as error:
        return str(error)
    return ""
