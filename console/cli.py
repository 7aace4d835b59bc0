"""The command line: finds the verb, hands over, and turns every fault into a sentence and an exit code."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from console import environment, exits
from contracts.errors import ConfigurationError, Fault, ObservatoryError, Refused

PROGRAM = environment.program()


@dataclass(frozen=True, slots=True)
class Verb:
    """`module` has `configure(parser)` and `run(session, arguments) -> exit code`; with `parse(argv)` it reads its
    arguments itself."""

    name: str
    module: str
    summary: str


COMPLETE = "__complete"  # what the shells' scripts ask
VERBS = (
    Verb("submit", "console.verbs.submit", "submit one job or many"),
    Verb("list", "console.verbs.list_jobs", "list jobs, newest first"),
    Verb("show", "console.verbs.show", "one job: timeline, attempts, error, output, result"),
    Verb("watch", "console.verbs.watch", "follow jobs to their end, or all that happens"),
    Verb("cancel", "console.verbs.cancel", "cancel jobs, or ask running ones to stop"),
    Verb("retry", "console.verbs.retry", "give failed or cancelled jobs new attempts"),
    Verb("rerun", "console.verbs.rerun", "make new jobs from ended ones"),
    Verb("graph", "console.verbs.graph", "the jobs that hang together with one: parents, children, and theirs"),
    Verb("bulk", "console.verbs.bulk", "cancel, retry or rerun every job that a query finds; replay or discard dead letters"),
    Verb("run", "console.verbs.run", "run a task here and now, without server or queue"),
    Verb("new-task", "console.verbs.new_task", "begin a task of your own: module, schema, and a test that passes"),
    Verb("stats", "console.verbs.stats", "counts, throughput, failure rate, waiting and running times"),
    Verb("queues", "console.verbs.queues", "queues: depth, running, limits, workers; pause and resume"),
    Verb("schedules", "console.verbs.schedules", "schedules: what comes by itself, and when"),
    Verb("tasks", "console.verbs.tasks", "task types, and the fields of their payloads"),
    Verb("events", "console.verbs.events", "what happened, or happens"),
    Verb("contracts", "console.verbs.contracts", "what is promised and refused, and what a proposed schema would refuse"),
    Verb("alerts", "console.verbs.alerts", "what deserves attention, and what to do about it"),
    Verb("dead-letters", "console.verbs.dead_letters", "events that no function could handle"),
    Verb("contexts", "console.verbs.contexts", "servers by name: list, add, use, remove"),
    Verb("completion", "console.verbs.completion", "the script by which a shell completes this command line"),
    Verb("key", "console.verbs.key", "make an API key, and the server's setting for it"),
    Verb("rebuild", "console.verbs.rebuild", "hold table and statistics against the log, and mend them"),
    Verb("migrate-data", "console.verbs.migrate_data", "carry an embedded data folder over into PostgreSQL"),
    Verb("doctor", "console.verbs.doctor", "what is wrong, and how to mend it"),
    Verb("demo-life", "console.verbs.demo_life", "a gentle mixed load until it is stopped"),
    Verb("demo", "console.verbs.demo", "3,000 jobs on real files, with figures that wc and sha256sum confirm"),
)

EXAMPLES = f"""examples:
  {PROGRAM} submit text.statistics --path README.md --wait
  {PROGRAM} list --state failed,retrying
  {PROGRAM} show JOB
  {PROGRAM} VERB --help            arguments and examples of a verb
"""


class Misused(ConfigurationError):
    """The command line is wrong."""

    slug = "usage"


class Parser(argparse.ArgumentParser):
    """Complains in one line, and says where the help is."""

    def error(self, message: str) -> NoReturn:
        raise Misused(f"{self.prog}: {message}\n(see {self.prog} --help)")


def common_options() -> argparse.ArgumentParser:
    """Options that every verb takes, before the verb or after it."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parser.add_argument_group("everywhere")
    group.add_argument("--url", metavar="URL", help="the server (OBSERVATORY_URL; http://127.0.0.1:8080)")
    group.add_argument("--context", metavar="NAME", dest="context", help="the server by its name (OBSERVATORY_CONTEXT; see the verb contexts)")
    group.add_argument("--json", action="store_true", dest="as_json", help="answer in JSON")
    return parser


def verb_parser(name: str, summary: str, examples: str = "") -> Parser:
    """The parser of a verb, without its own arguments."""
    return Parser(
        prog=f"{PROGRAM} {name}", description=f"{summary[:1].upper()}{summary[1:]}.", epilog=examples or None,
        parents=[common_options()], allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def top_parser() -> Parser:
    """The parser of what stands before the verb."""
    listing = "\n".join(f"  {verb.name:<14}{verb.summary}" for verb in VERBS)
    parser = Parser(
        prog=PROGRAM, usage=f"{PROGRAM} [VERB] [ARGUMENTS]",
        description=f"The Distributed Task Observatory: on a terminal without a verb the console, with one the command line.\n\nverbs:\n{listing}",
        epilog=f"{EXAMPLES}\n{exits.MEANINGS}", parents=[common_options()], allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    console = parser.add_argument_group("the console, without a verb")
    console.add_argument("--theme", choices=("auto", "dark", "light"), default="auto", help="for a dark or a light ground (auto)")
    console.add_argument("--once", nargs="?", const="", metavar="SCREEN", help='print one frame and end: --once "jobs state:failed"')
    console.add_argument("--size", type=_size, default=(120, 40), metavar="CxL", help="of that frame (120x40)")
    parser.add_argument("verb", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def find_verb(name: str) -> Verb:
    """The verb of a name. Raises ConfigurationError that names the nearest."""
    for verb in VERBS:
        if verb.name == name:
            return verb
    from difflib import get_close_matches

    near = get_close_matches(name, [verb.name for verb in VERBS], n=1)
    raise ConfigurationError(f"there is no verb {name!r}{f'; did you mean {near[0]}?' if near else ''} (see {PROGRAM} --help)")


def dispatch(argv: Sequence[str]) -> int:
    """Carries out one command line. Raises what its verb raises, and SystemExit for help and usage."""
    if argv[:1] == [COMPLETE]:
        from console.verbs.completion import complete

        return complete(argv[1:])
    top = top_parser()
    given = top.parse_args(argv)
    if given.verb is None:
        return _console(top, given)
    if given.verb == "help":
        return dispatch([*given.rest[:1], "--help"])
    verb = find_verb(given.verb)
    module = importlib.import_module(verb.module)
    before = {name: value for name, value in vars(given).items() if name not in ("verb", "rest", "theme", "once", "size")}
    arguments = _arguments(module, verb, given.rest, argparse.Namespace(**before))
    from console.session import Session

    session = Session.of(arguments)
    code = module.run(session, arguments)
    session.flush()
    return int(code)


def _console(top: Parser, given: argparse.Namespace) -> int:
    """Without a verb: the terminal console, or the help where there is no terminal."""
    from console import contexts

    server = contexts.server(getattr(given, "url", None), getattr(given, "context", None))
    if given.once is not None or getattr(given, "as_json", False):
        from console.once import show

        return show(server, given.once or "", given.size, as_json=getattr(given, "as_json", False))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        top.print_help()
        sys.stderr.write("\nThis is no terminal, so the console was not opened; --once prints one frame of it.\n")
        return exits.USAGE
    from console.loop import start

    return start(server, given.theme)


def _size(text: str) -> tuple[int, int]:
    columns, _, lines = text.partition("x")
    if not (columns.isdigit() and lines.isdigit() and 0 < int(columns) <= 500 and 0 < int(lines) <= 300):
        raise argparse.ArgumentTypeError("COLUMNSxLINES, such as 120x40")
    return int(columns), int(lines)


def _arguments(module: Any, verb: Verb, rest: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
    parser = verb_parser(verb.name, verb.summary, module.EXAMPLES)
    if hasattr(module, "parse"):
        return module.parse(parser, list(rest), namespace)
    module.configure(parser)
    return parser.parse_intermixed_args(list(rest), namespace)


def exit_code_of(error: Exception) -> int:
    """The one map from fault to exit code."""
    from console.api.errors import JobFailed, ObservatoryApiError, ServerUnreachable, WaitTimedOut
    from console.payloads import BadArgument

    if isinstance(error, ObservatoryApiError):
        if error.status in (404, 410):
            return exits.NOT_FOUND
        return exits.UNREACHABLE if error.status in (429, 502, 503, 504) else exits.REFUSED if error.status < 500 else exits.FAILED
    table = ((ServerUnreachable, exits.UNREACHABLE), (WaitTimedOut, exits.TIMED_OUT), (JobFailed, exits.FAILED),
             (ConfigurationError, exits.USAGE), (BadArgument, exits.USAGE), (Refused, exits.REFUSED), (ObservatoryError, exits.FAILED))  # fmt: skip
    return next((code for kind, code in table if isinstance(error, kind)), exits.INTERNAL)


def _report(error: Exception, code: int, as_json: bool) -> None:
    from console.api.errors import ObservatoryApiError
    from console.text import clean

    faults: Sequence[Fault] = getattr(error, "faults", ())
    message = str(error) if isinstance(error, ObservatoryError) else f"internal fault: {type(error).__name__}: {error}"
    if as_json:
        import json

        listed = [fault.as_json() for fault in faults]
        status = error.status if isinstance(error, ObservatoryApiError) else None  # of an answer
        kind = error.kind if isinstance(error, ObservatoryApiError) else getattr(error, "slug", None)
        document = {"message": message, "status": status, "kind": kind, "faults": listed}
        sys.stderr.write(json.dumps({"error": document, "exit_code": code}) + "\n")
        return
    sys.stderr.write(clean(message, lines=isinstance(error, Misused)) + "\n")
    for fault in faults:
        if fault.message not in message:  # of a query the sentence is told already
            sys.stderr.write(clean(f"  {fault.pointer or 'the whole'}: {fault.message}") + "\n")
    if getattr(error, "status", None) == 401:
        sys.stderr.write("the command line sends the key of the context (contexts add NAME URL --key), or what OBSERVATORY_API_KEY holds\n")
    if code == exits.INTERNAL and not environment.wants_tracebacks():
        sys.stderr.write("this is a fault of the console; OBSERVATORY_DEBUG=1 shows where\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; the exit code. No fault leaves it as a stack trace."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return dispatch(argv)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else exits.USAGE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        return _quiet_pipe()
    except Exception as error:
        code = exit_code_of(error)
        if code == exits.INTERNAL and environment.wants_tracebacks():
            raise
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        _report(error, code, "--json" in argv)
        return code


def _quiet_pipe() -> int:
    """The interpreter flushes standard output once more at its end: give it somewhere to go."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.BROKEN_PIPE
