"""Reading `TYPE` and its payload: flags made from the task's schema, key=value, JSON, files, standard input."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console import json_sources, payloads
from console.json_sources import Item, Source
from console.payloads import BadArgument
from console.verbs.arguments import is_span

Definition = Mapping[str, Any]
FindTask = Callable[[str], Definition | None]

PAYLOAD_HELP = """the payload, in any mixture:
  --FIELD VALUE     a field of the task's schema (see: tasks TYPE)
  field=value       the same; field:=JSON takes the JSON as it is, outer.inner=value a field within an object
  '{"field": 1}'    a JSON object
  @file.json, -     JSON from a file or standard input: an object, a list, or one object a line for many jobs
  field=@FILE       a secret field alone, so that no list of processes shows it; field=- takes it from standard input
"""


@dataclass(frozen=True, slots=True)
class TaskArguments:
    """`type` is None when whole job requests were given in place of payloads; `document` is the one that was given, or there
    is a `stream` of many."""

    type: str | None
    document: dict[str, Any]
    stream: Iterator[Item] | None = None


def parse(
    parser: argparse.ArgumentParser, argv: list[str], namespace: argparse.Namespace, find_task: Callable[[argparse.Namespace], FindTask]
) -> argparse.Namespace:
    """Parses in two steps: the type first, then the rest with the flags that its schema gives.

    `parser` already has the fixed options. The answer's `task` is a TaskArguments.
    """
    fixed = set(parser._option_string_actions)
    argv = with_bare_waits(argv)
    first = argparse.ArgumentParser(
        prog=parser.prog, usage=parser.usage, description=parser.description, epilog=parser.epilog, formatter_class=parser.formatter_class,
        parents=[parser], add_help=False, allow_abbrev=False, conflict_handler="resolve",
    )  # fmt: skip
    first.error = parser.error  # type: ignore[method-assign]
    first.add_argument("type", nargs="?", metavar="TYPE", help="of the task (see the verb tasks)")
    first.add_argument("rest", nargs=argparse.REMAINDER, metavar="PAYLOAD", help="see below")
    given = first.parse_args(argv, namespace)
    kind, rest = given.type, given.rest
    del given.type, given.rest
    if kind is None or kind.startswith(("-", "@", "{")) or "=" in kind:
        if kind is None or not kind.startswith(("-", "@", "{")):
            parser.error("name a task type first, such as text.statistics (see the verb tasks)")
        kind, rest = None, [kind, *rest]
    fields = _fields(kind, rest, fixed, find_task(_with_later_options(parser, rest, given)))
    for name, field in fields.items():
        _add_flag(parser, name, field, fixed)
    parser.add_argument("parts", nargs="*", metavar="PAYLOAD", help=argparse.SUPPRESS)
    done = parser.parse_intermixed_args(rest, given)
    done.task = _assemble(kind, done, fields)
    return done


def _with_later_options(parser: argparse.ArgumentParser, rest: Sequence[str], given: argparse.Namespace) -> argparse.Namespace:
    """With the fixed options that stand after the type: they say where its fields are looked up."""
    ahead = argparse.ArgumentParser(parents=[parser], add_help=False, allow_abbrev=False, conflict_handler="resolve")
    ahead.error = parser.error  # type: ignore[method-assign]
    known, _ = ahead.parse_known_args([token for token in rest if token not in ("-h", "--help")], argparse.Namespace(**vars(given)))
    return known


def with_bare_waits(argv: list[str]) -> list[str]:
    """`--wait` without a span means: as long as it takes."""
    bare = []
    for index, token in enumerate(argv):
        follows = argv[index + 1] if index + 1 < len(argv) else ""
        bare.append("--wait=inf" if token == "--wait" and not is_span(follows) else token)
    return bare


def _fields(kind: str | None, rest: Sequence[str], fixed: set[str], find: FindTask) -> dict[str, payloads.Schema]:
    """The fields of the task, asked for only when the arguments need them."""
    if kind is None or not any(_needs_schema(token, fixed) for token in rest):
        return {}
    definition = find(kind)
    return payloads.properties(definition["schema"]) if definition else {}


def _needs_schema(token: str, fixed: set[str]) -> bool:
    if token in ("--help", "-h"):
        return True
    if token.startswith("--"):
        return token.partition("=")[0] not in fixed
    return "=" in token and not token.startswith(("@", "{"))


def _add_flag(parser: argparse.ArgumentParser, name: str, field: payloads.Schema, fixed: set[str]) -> None:
    flags = [flag for flag in dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")) if flag not in fixed]
    if not flags:  # an option of the verb has this name: key=value still reaches the field
        return
    dest = f"field:{name}"
    words = str(field.get("description", "")).replace("%", "%%")
    if payloads.types_of(field) == {"boolean"}:
        parser.add_argument(*flags, dest=dest, action=argparse.BooleanOptionalAction, default=None, help=words)
        return
    default = f" (default {field['default']})".replace("%", "%%") if "default" in field else ""
    parser.add_argument(*flags, dest=dest, action="append", metavar=_metavar(field), help=words + default)


def _metavar(field: payloads.Schema) -> str:
    if isinstance(field.get("enum"), list):
        return "{" + ",".join(str(value) for value in field["enum"]) + "}"
    return {"string": "TEXT", "integer": "NUMBER", "number": "NUMBER", "array": "ITEM", "object": "JSON"}.get(
        next(iter(payloads.types_of(field) - {"null"}), ""), "VALUE"
    )


def _assemble(kind: str | None, given: argparse.Namespace, fields: Mapping[str, payloads.Schema]) -> TaskArguments:
    """The documents from all parts. Raises BadArgument."""
    sources = [part for part in given.parts if part == "-" or part.startswith(("@", "{"))]
    pairs = [_pair(part, fields) for part in given.parts if part not in sources]
    for name, field in fields.items():
        pairs += _flag_values(name, field, getattr(given, f"field:{name}", None))
    own = payloads.merged(pairs, fields)
    if len(sources) > 1:
        raise BadArgument(f"give one JSON source, not {len(sources)}: {' '.join(sources)}")
    if not sources:
        return TaskArguments(kind, own)
    if kind is None and own:
        raise BadArgument("fields of a payload need a task type before them")
    found = _source(sources[0])
    if found.one is not None:
        return TaskArguments(kind, {**found.one, **own})
    return TaskArguments(kind, own, ({**item, **own} if isinstance(item, dict) else item for item in found.stream))


def _flag_values(name: str, field: payloads.Schema, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [(name, value)]
    return [(name, payloads.value_of(_secret(name, text) if _is_secret(field) else text, field, f"--{name}")) for text in value]


def _pair(part: str, fields: Mapping[str, payloads.Schema]) -> tuple[str, Any]:
    name, sign, value = part.partition("=")
    if sign and _is_secret(fields.get(name, {})):
        return name, payloads.value_of(_secret(name, value), fields[name], name)
    return payloads.pair(part, fields)


def _is_secret(field: payloads.Schema) -> bool:
    return field.get("x-secret") is True


def _secret(name: str, text: str) -> str:
    """A secret field's value: what `@file` or standard input (`-`) holds, without the newline at its end; or, with a warning, as it stands."""
    if text != "-" and not text.startswith("@"):
        sys.stderr.write(f"{name} is a secret, and command lines are public: {name}=@FILE or {name}=- (standard input) gives it safely\n")
        return text
    try:
        return json_sources.read_bytes(text).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise BadArgument(f"{name}: {text} is no UTF-8 text") from None


def _source(source: str) -> Source:
    if not source.startswith("{"):
        return json_sources.read(source)
    payload = payloads.parse_json(source.encode("utf-8", "surrogateescape"), "the payload")
    return Source(payload, iter(()))
