"""This machine, without a server: programs, packages, settings, task modules, the data folder, the user's own files."""

import importlib.metadata
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from getpass import getuser
from pathlib import Path

from console import contexts, environment
from console.checks.finding import FAIL, OK, WARN, Finding, judged
from console.text import size
from contracts.errors import ObservatoryError

LITTLE_BYTES = 1024**3
LITTLE_FILES = 1024
PINNED = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def examine() -> Iterator[Finding]:
    yield from _programs()
    yield _packages()
    yield from _settings()
    yield from _tasks()
    yield from _data_folder()
    yield from _contexts()


def _programs() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield judged(sys.version_info >= (3, 11), "Python", version, "install Python 3.11 or later, then: make clean run")
    yield judged(sqlite3.sqlite_version_info >= (3, 35), "SQLite", sqlite3.sqlite_version, "Python comes with too old an SQLite; 3.35 or later is needed")
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < LITTLE_FILES:
        yield Finding(WARN, "open files", f"at most {files}", f"ulimit -n {LITTLE_FILES} or more before make run, else many live streams are turned away")


def _packages() -> Finding:
    """Whether what is installed is what requirements.txt pins."""
    pinned = dict(PINNED.findall((environment.ROOT / "requirements.txt").read_text("utf-8")))
    others = [f"{name} {_installed(name) or 'missing'} instead of {version}" for name, version in pinned.items() if _installed(name) != version]
    words = "; ".join(others) if others else f"{len(pinned)} as pinned"
    return judged(not others, "packages", words, f"make -C {environment.ROOT} clean .venv/ready", WARN)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _settings() -> Iterator[Finding]:
    """The variables that are set: known ones, with values that can be used."""
    from functions.runtime import admin

    given, known = environment.given_settings(), admin.known_settings() | environment.OWN
    unknown = [name for name in given if name not in known]
    for name in unknown:
        near = get_close_matches(name, known, n=1)
        yield Finding(WARN, "settings", f"{name} is set, but nothing reads it", f"did you mean {near[0]}?" if near else "the README lists every setting")
    try:
        admin.check_settings()
    except ObservatoryError as error:
        yield Finding(FAIL, "settings", str(error), "make run does not start with it: unset it, or see the README's table of settings")
    else:
        if not unknown:
            yield Finding(OK, "settings", f"{', '.join(given) or 'all by default'}")


def _tasks() -> Iterator[Finding]:
    """Whether the task modules can be used."""
    modules = environment.task_modules()
    if not modules:
        return
    from functions.runtime import admin

    try:
        count = admin.count_tasks(modules)
    except ObservatoryError as error:
        yield Finding(FAIL, "tasks", str(error), "mend the module, or set PYTHONPATH to its folder; make run says the same")
    else:
        yield Finding(OK, "tasks", f"{count} types ({', '.join(['built-in', *modules])})")


def _data_folder() -> Iterator[Finding]:
    folder = environment.data_folder()
    if folder.exists():
        yield Finding(OK, "data folder", str(folder.resolve()))
    else:
        yield Finding(OK, "data folder", f"{folder.resolve()} is not there yet; make run makes it")
        folder = next(parent for parent in folder.resolve().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(FAIL, "data folder", f"{folder} cannot be written", f"chown it to {getuser()}, or set OBSERVATORY_DATA to another folder")
    yield from _foreign_files(folder)
    free = shutil.disk_usage(folder).free
    mend = "make room: when the disk is full, submissions are answered 503 (nothing accepted is lost)"
    yield judged(free > LITTLE_BYTES, "free space", size(free), mend, WARN)


def _foreign_files(folder: Path) -> Iterator[Finding]:
    """Files of the database that this user cannot write: a run by another user, mostly by root."""
    for name in ("observatory.db", "observatory.db-wal", "search.db", "lock"):
        path = folder / name
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            yield Finding(FAIL, "data folder", f"{path} belongs to {path.owner()}", f"chown -R {getuser()} {folder}")


def _contexts() -> Iterator[Finding]:
    try:
        known = contexts.known()
        for context in known.values():
            context.key()
    except ObservatoryError as error:
        yield Finding(FAIL, "contexts", str(error), "mend it as said; contexts lists those that are kept")
    else:
        if known:
            yield Finding(OK, "contexts", ", ".join(f"{name}*" if name == contexts.current() else name for name in known))
