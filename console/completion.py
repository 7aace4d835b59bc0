"""What may come next in a filter or in the palette, and what is wrong with a filter. Pure."""

from dataclasses import replace

from console.state import State
from console.wants import QUEUES, TASKS
from console.widgets.line import Line
from contracts.errors import ObservatoryError
from contracts.query import parse, suggestions, typed_at
from contracts.query.fields import FIELDS

Suggestion = tuple[str, str]  # a completion, and what it means
SCREENS: dict[str, str] = {
    "dashboard": "how the whole system is", "jobs": "find jobs, act on them (jobs QUERY)", "events": "everything that happens",
    "dead-letters": "events that no function could handle, and jobs that failed for good", "queues": "depth, age, limits; pause and resume",
    "schedules": "what comes by itself, and when", "contracts": "types, versions, refusals", "functions": "instances and cold starts",
    "audit": "table against log against statistics", "alerts": "what deserves attention, and what to do",
    "operations": "what is under way",
}  # fmt: skip
ACTIONS: dict[str, str] = {
    "new": "submit a job (new TYPE)", "job": "open a job (job ID)", "ctx": "go to another server (ctx NAME or its address)",
    "save": "keep the filter that is on (save NAME)", "forget": "drop a saved filter (forget NAME)", "theme": "theme dark, theme light",
    "help": "the keys of this screen", "quit": "leave the console",
}  # fmt: skip


def of_palette(state: State, words: str) -> tuple[Suggestion, ...]:
    verb, space, rest = words.partition(" ")
    if not space:
        return tuple((name, meaning) for name, meaning in (SCREENS | ACTIONS).items() if name.startswith(words))
    named: dict[str, list[Suggestion]] = {
        "ctx": [(name, url) for name, url in state.contexts],
        "new": [(str(task["type"]), str(task.get("description") or "")) for task in state.items(TASKS)],
        "forget": list(state.filters),
        "theme": [("dark", "for a dark ground"), ("light", "for a light ground")],
    }
    return tuple((f"{verb} {name}", meaning) for name, meaning in named.get(verb, ()) if name.startswith(rest))


def of_query(state: State, line: Line) -> tuple[Suggestion, ...]:
    """What could stand at the caret; `@` begins a saved filter."""
    if line.text.startswith("@"):
        return tuple((f"@{name}", query) for name, query in state.filters if name.startswith(line.text[1:]))
    known = {"type": [task["type"] for task in state.items(TASKS)], "queue": [queue["name"] for queue in state.items(QUEUES)]}
    saved = [(f"@{name}", query) for name, query in state.filters] if not line.text else []
    return (*saved, *((found, _meaning(found)) for found in suggestions(typed_at(line.text, line.caret), known)))


def _meaning(found: str) -> str:
    field = FIELDS.get(found.rstrip(":."))
    return f"{field.meaning}, such as {field.example}" if field is not None else ""


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
