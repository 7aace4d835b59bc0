"""Imports the task modules and gathers their catalogue: `python -m functions.processor.tasks.collect [module ...]`."""

import importlib
import sys
import traceback
from collections.abc import Sequence

from contracts.catalogue import Catalogue, dump_text
from contracts.errors import ConfigurationError
from functions.processor.tasks.registry import REGISTRY
from functions.processor.tasks.schedules import check_scheduled_payload

BUILT_IN = tuple(f"functions.processor.tasks.{name}" for name in ("text", "files", "csv_summary", "http_call", "demo"))


def collect(modules: Sequence[str] = ()) -> Catalogue:
    """The catalogue of the built-in tasks and of further modules, which stay imported.

    Raises ConfigurationError, one sentence naming the module and what is wrong with it.
    """
    for name in (*BUILT_IN, *modules):
        import_task_module(name)
    catalogue = REGISTRY.catalogue()
    for definition in catalogue.definitions():
        try:
            catalogue.payload_schema(definition.type)
            check_scheduled_payload(catalogue, definition)
        except ConfigurationError as error:
            raise ConfigurationError(f"@task({definition.type!r}) in module {definition.module}: {error.message}") from None
    return catalogue


def import_task_module(name: str) -> None:
    """Imports one module. Raises ConfigurationError when it does not import, whatever it does instead."""
    try:
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"there is no task module {name!r} (OBSERVATORY_TASKS names it); looked in {', '.join(p or '.' for p in sys.path)}"
            ) from None
        raise ConfigurationError(_does_not_import(name, error)) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"the task module {name!r} does not import: {error.message}") from error
    except BaseException as error:
        raise ConfigurationError(_does_not_import(name, error)) from error


def _does_not_import(name: str, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    place = ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}, line {error.lineno})"
    elif len(frames) > 1:
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"the task module {name!r} does not import: {type(error).__name__}: {text}{place}"


def main(arguments: Sequence[str]) -> int:
    try:
        sys.stdout.write(dump_text(collect(arguments)))
    except ConfigurationError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
