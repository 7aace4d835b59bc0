"""What may stand next on a command line: verbs, their words and options, and what the server has at this moment."""

import argparse
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from console import cli, contexts, payloads
from console.live import Live
from contracts.event_types import EVENT_TYPES
from contracts.job import JobStatus
from contracts.query import JOBS as QUERIES
from contracts.query import LETTERS, suggestions, typed_at
from contracts.query.fields import Language

Candidate = tuple[str, str]
"""What may stand there, and what it means."""
Known = Callable[[Live], Iterable[Candidate]]
JOBS_SHOWN = 50


def candidates(words: Sequence[str]) -> list[Candidate]:
    """Completions of the last of `words`, which are those after the program's name."""
    *before, current = words or [""]
    given, verb, rest = _split(before)
    live = Live(given.get("--url"), given.get("--context"))
    parser = cli.top_parser() if verb is None else _parser(verb, rest)
    expected = _expecting(parser, before)
    if expected is not None:
        found = _values(verb, expected, current, live)
    elif (field := _task_field(verb, rest, live)) is not None:
        found = _values_of(field)
    elif current.startswith("--") and "=" in current:
        name, _, value = current.partition("=")
        action = parser._option_string_actions.get(name)
        found = ((f"{name}={text}", meaning) for text, meaning in _values(verb, action, value, live)) if action is not None else iter(())
    elif current.startswith("-") and not (verb in ("list", "bulk") and not current.startswith("--")):
        found = _options(parser, verb, rest, live)
    elif verb is None:
        found = ((each.name, each.summary) for each in cli.VERBS)
    else:
        found = _words(verb, _positionals(parser, rest), current, live)
    return sorted({text: (text, meaning) for text, meaning in found if text.startswith(current)}.values())


def _split(before: Sequence[str]) -> tuple[dict[str, str], str | None, list[str]]:
    """The options of every verb, the verb, and what stands after it."""
    given: dict[str, str] = {}
    verb, rest = None, list[str]()
    words = iter(before)
    for word in words:
        name, sign, value = word.partition("=")
        if name in ("--url", "--context"):
            given[name] = value if sign else next(words, "")
        elif verb is None and not word.startswith("-"):
            verb = word
        elif verb is not None:
            rest.append(word)
    return given, verb, rest


def _parser(verb: str, rest: Sequence[str]) -> argparse.ArgumentParser:
    """The verb's parser with its options; of an unknown verb one with those of every verb."""
    parser = cli.verb_parser(verb, "")
    if verb == "schedules" and rest[:1] == ["put"]:
        from console.verbs import schedule_arguments

        schedule_arguments.configure_put(parser)
        return parser
    for known in cli.VERBS:
        if known.name == verb:
            importlib.import_module(known.module).configure(parser)
    return parser


def _expecting(parser: argparse.ArgumentParser, before: Sequence[str]) -> argparse.Action | None:
    """The option that the next word is the value of."""
    action = parser._option_string_actions.get(before[-1]) if before else None
    return action if action is not None and action.nargs is None and action.const is None else None


def _task_field(verb: str | None, rest: Sequence[str], live: Live) -> payloads.Schema | None:
    """The field of a task's payload that the next word is the value of, after `--FIELD`."""
    task = _task_of(verb, rest)
    if task is None or len(rest) < 2 or not rest[-1].startswith("--"):
        return None
    fields, name = _fields(task, live), rest[-1][2:]
    field = fields.get(name, fields.get(name.replace("-", "_")))
    return None if field is None or payloads.types_of(field) == {"boolean"} else field  # --FLAG and --no-FLAG take no value


def _task_of(verb: str | None, rest: Sequence[str]) -> str | None:
    task = rest[2:3] if verb == "schedules" else rest[:1] if verb in ("submit", "run") else []
    return task[0] if task else None


def _positionals(parser: argparse.ArgumentParser, rest: Sequence[str]) -> list[str]:
    """The words that are no options and not the values of any."""
    return [word for at, word in enumerate(rest) if not word.startswith("--") and _expecting(parser, rest[:at]) is None]


# ---- options ----------------------------------------------------------------------------------------------------


def _options(parser: argparse.ArgumentParser, verb: str | None, rest: Sequence[str], live: Live) -> Iterator[Candidate]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            yield from ((name, action.help or "") for name in action.option_strings if name.startswith("--"))
    if (task := _task_of(verb, rest)) is not None:
        for name, field in _fields(task, live).items():
            yield f"--{name.replace('_', '-')}", str(field.get("description", ""))


def _values(verb: str | None, action: argparse.Action, current: str, live: Live) -> Iterator[Candidate]:
    """Values of an option; those of a list by commas are completed one by one."""
    if action.choices is not None:
        yield from ((str(choice), "") for choice in action.choices)
        return
    name = action.option_strings[-1] if action.option_strings else ""
    known = _event_types if (verb, name) == ("events", "--type") else _OPTION_VALUES.get(name)
    if known is None:
        return
    head, comma, _ = current.rpartition(",")
    yield from ((head + comma + text, meaning) for text, meaning in known(live))


# ---- words ------------------------------------------------------------------------------------------------------


def _words(verb: str, before: Sequence[str], current: str, live: Live) -> Iterator[Candidate]:
    if verb == "help":
        yield from ((each.name, each.summary) for each in cli.VERBS if not before)
    elif verb in ("list", "watch") or (verb == "bulk" and len(before) == 1 and before[0] in ("cancel", "retry", "rerun")):
        yield from _query(current, live)
        yield from _NAMES.get(verb, _nothing)(live)
    elif verb == "bulk" and len(before) == 1 and before[0] in ("replay", "discard"):
        yield from _query(current, live, LETTERS)
    elif verb in ("submit", "run"):
        yield from _payload(before, current, live)
    elif verb in _ACTS:
        yield from _acts(verb, before, current, live)
    elif verb in _NAMES:
        yield from _NAMES[verb](live)


def _acts(verb: str, before: Sequence[str], current: str, live: Live) -> Iterator[Candidate]:
    """Verbs whose first word says what to do, and the others with what."""
    acts = _ACTS[verb]
    if not before:
        yield from ((act, "") for act in acts)
        return
    known = acts.get(before[0])
    if (verb, before[0]) == ("schedules", "put") and len(before) > 1:
        yield from _payload(before[2:], current, live)
    elif known is not None:
        yield from known(live)


def _payload(before: Sequence[str], current: str, live: Live) -> Iterator[Candidate]:
    """A task type, then its fields, or a file."""
    if current.startswith("@"):
        yield from _files(current)
    elif not before:
        yield from _types(live)
    else:
        yield from _assignments(_fields(before[0], live), before[1:], current)


def _assignments(fields: dict[str, payloads.Schema], before: Sequence[str], current: str) -> Iterator[Candidate]:
    name, sign, _ = current.partition("=")
    if sign:
        yield from ((f"{name}={value}", "") for value, _ in _values_of(fields.get(name, {})))
        return
    given = {word.partition("=")[0].rstrip(":") for word in before}
    yield from ((f"{field}=", str(schema.get("description", ""))) for field, schema in fields.items() if field not in given)


def _values_of(field: payloads.Schema) -> Iterator[Candidate]:
    values = field["enum"] if isinstance(field.get("enum"), list) else ["true", "false"] if payloads.types_of(field) == {"boolean"} else []
    yield from ((str(value), "") for value in values)


def _fields(task_type: str, live: Live) -> dict[str, payloads.Schema]:
    found = next((task for task in live.items("/v1/tasks") if task.get("type") == task_type), None)
    return payloads.properties(found["schema"]) if found and isinstance(found.get("schema"), dict) else {}


def _query(current: str, live: Live, language: Language = QUERIES) -> Iterator[Candidate]:
    typed = typed_at(current, len(current), language)
    known = {"type": [name for name, _ in _types(live)], "queue": [name for name, _ in _queues(live)]}
    for found in suggestions(typed, known, language):
        field = language.fields.get(found.rstrip(":.")) if typed.kind == "field" else None
        yield current[: typed.start] + found, f"{field.meaning}, such as {field.example}" if field is not None else ""


def _files(current: str) -> Iterator[Candidate]:
    folder, slash, begin = current[1:].rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").expanduser().iterdir())
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(".") or begin.startswith("."):
            yield f"@{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}", ""


# ---- what there is ----------------------------------------------------------------------------------------------


def _named(path: str, name: str = "name", meaning: str = "description", **query: Any) -> Known:
    def known(live: Live) -> Iterator[Candidate]:
        return ((str(item[name]), str(item.get(meaning) or "")) for item in live.items(path, **query) if name in item)

    return known


def _jobs(*states: JobStatus) -> Known:
    def known(live: Live) -> Iterator[Candidate]:
        jobs = live.items("/v1/jobs", limit=JOBS_SHOWN, state=",".join(states) or None)
        return ((job["id"], f"{job.get('type')} {job.get('status')}") for job in jobs if "id" in job)

    return known


def _event_types(_: Live) -> Iterator[Candidate]:
    return ((kind.short, kind.description) for kind in EVENT_TYPES.values() if kind.logged)


def _subjects(live: Live) -> Iterator[Candidate]:
    yield from ((f"job/{job}", meaning) for job, meaning in _jobs()(live))
    yield from ((f"queue/{name}", meaning) for name, meaning in _queues(live))
    yield from ((f"schedule/{name}", meaning) for name, meaning in _schedules(live))


def _zones(_: Live) -> Iterator[Candidate]:
    from zoneinfo import available_timezones

    return ((zone, "") for zone in available_timezones())


def _contexts(_: Live) -> Iterator[Candidate]:
    return ((name, context.url) for name, context in contexts.known().items())


def _nothing(_: Live) -> Iterable[Candidate]:
    return ()


_types = _named("/v1/tasks", "type")
_queues = _named("/v1/queues")
_schedules = _named("/v1/schedules", meaning="in_words", limit=500)
_contracts_known = _named("/v1/contracts")
_letters = _named("/v1/dead-letters", "id", "reason", status="kept", limit=JOBS_SHOWN)
_OPEN = (JobStatus.WAITING, JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.RETRYING)
_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)
_OPTION_VALUES: dict[str, Known] = {
    "--queue": _queues, "--type": _types, "--state": lambda _: ((str(state), "") for state in JobStatus), "--context": _contexts,
    "--timezone": _zones, "--after": _jobs(), "--parent": _jobs(), "--id": _jobs(), "--subject": _subjects,
}  # fmt: skip
_NAMES: dict[str, Known] = {
    "show": _jobs(), "graph": _jobs(), "watch": _jobs(*_OPEN), "cancel": _jobs(*_OPEN), "retry": _jobs(JobStatus.FAILED, JobStatus.CANCELLED),
    "rerun": _jobs(*_ENDED), "tasks": _types,
}  # fmt: skip
_ACTS: dict[str, dict[str, Known]] = {
    "queues": {"list": _nothing, "pause": _queues, "resume": _queues},
    "schedules": {"list": _nothing, "put": _nothing, **dict.fromkeys(("show", "run", "pause", "resume", "delete"), _schedules)},
    "dead-letters": {"list": _nothing, **dict.fromkeys(("show", "replay", "discard"), _letters)},
    "bulk": {"list": _nothing, **dict.fromkeys(("cancel", "retry", "rerun", "replay", "discard"), _nothing), "show": _named("/v1/bulk", "id", "q")},
    "contexts": {"list": _nothing, "add": _nothing, "use": _contexts, "remove": _contexts},
    "contracts": {"list": _nothing, "show": _contracts_known, "check": _nothing},
    "completion": dict.fromkeys(("bash", "zsh", "fish"), _nothing),
}  # fmt: skip
