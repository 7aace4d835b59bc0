"""Named contexts: the servers that a user knows by name, the one in use, and the key for each.

They are kept in the user's file (see console.configuration): ``{"contexts": {"prod": {"url": "https://...", "colour": "red"}},
"context": "prod"}``; a plain URL in place of the object does, too. A context's key is a file `keys/NAME` beside it that
only its owner may read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from console import configuration, environment
from console.api.addresses import base_url
from contracts.errors import ConfigurationError

COLOURS = ("blue", "green", "red", "yellow", "magenta", "cyan", "grey")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Context:
    """A server by its name; `colour` is what the console paints behind the name (empty: none chosen)."""

    name: str
    url: str
    colour: str = ""

    def key(self) -> str | None:
        """The key that is kept for it. Raises ConfigurationError when others may read its file."""
        path = key_file(self.name)
        if not path.is_file():
            return None
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"the key of the context {self.name} may be read by others: chmod 600 {path}")
        return environment.checked_key(path.read_text("utf-8").strip(), f"what {path} holds")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to go: `origin` says in words who named it, `is_given` whether anybody did; `context` is empty without one."""

    url: str
    key: str | None
    origin: str
    is_given: bool = True
    context: str = ""
    colour: str = ""


def key_file(name: str) -> Path:
    return environment.configuration_folder() / "keys" / name


def known() -> dict[str, Context]:
    """Every context by its name. Raises ConfigurationError for a file that cannot be understood."""
    entries = configuration.load().get("contexts", {})
    if not isinstance(entries, Mapping):
        raise ConfigurationError(f'"contexts" in {configuration.file()} must be an object: name -> {{"url": ...}}')
    return {name: _context(name, entry) for name, entry in sorted(entries.items())}


def _context(name: str, entry: Any) -> Context:
    fields = {"url": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, Mapping) or not isinstance(fields.get("url"), str):
        raise ConfigurationError(f"the context {name!r} in {configuration.file()} has no url")
    colour = fields.get("colour")
    return Context(name, base_url(fields["url"]), colour if colour in COLOURS else "")


def find(name: str) -> Context:
    """The context of a name. Raises ConfigurationError that names the nearest."""
    there = known()
    if name in there:
        return there[name]
    near = get_close_matches(name, there, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(there)}" if there else "none is kept yet (contexts add NAME URL)"
    raise ConfigurationError(f"there is no context {name!r}; {hint}")


def current() -> str:
    """The name of the context in use; empty for none."""
    name = configuration.load().get("context")
    return name if isinstance(name, str) else ""


# ---- changing ---------------------------------------------------------------------------------------------------


def add(context: Context, key: str | None = None) -> None:
    """Keeps a context, in place of an earlier one of its name; a key is kept beside it. Raises ConfigurationError."""
    if not _NAME.fullmatch(context.name):
        raise ConfigurationError(f"{context.name!r} is no name for a context: letters, digits and . _ - (40 at most)")
    document = configuration.load()
    entry = {"url": context.url, **({"colour": context.colour} if context.colour else {})}
    if key is not None:
        configuration.write_private(key_file(context.name), environment.checked_key(key, "what was given") + "\n")
    configuration.save({**document, "contexts": {**document.get("contexts", {}), context.name: entry}})


def remove(name: str) -> None:
    """Forgets a context and its key. Raises ConfigurationError when it is not known."""
    find(name)
    document = configuration.load()
    left = {other: entry for other, entry in document["contexts"].items() if other != name}
    kept = {field: value for field, value in document.items() if not (field == "context" and value == name)}
    configuration.save({**kept, "contexts": left})
    key_file(name).unlink(missing_ok=True)


def use(name: str) -> None:
    """Makes a context the one in use; empty: none. Raises ConfigurationError."""
    if name:
        find(name)
    document = {field: value for field, value in configuration.load().items() if field != "context"}
    configuration.save({**document, "context": name} if name else document)


# ---- which server -----------------------------------------------------------------------------------------------


def server(url: str | None = None, name: str | None = None) -> Server:
    """The server that is meant: by address, by context, by OBSERVATORY_URL, OBSERVATORY_CONTEXT, the context in use, or the
    place where `make run` listens. A context's own key goes to it alone; others get OBSERVATORY_API_KEY.

    Raises ConfigurationError.
    """
    if url is not None and name is not None:
        raise ConfigurationError("give --url or --context, not both")
    if url is not None:
        return Server(base_url(url), environment.api_key(), "given by --url")
    if name is not None:
        return _of(find(name), "given by --context")
    if environment.server_url_is_given():
        return Server(base_url(environment.server_url()), environment.api_key(), "given by OBSERVATORY_URL")
    if environment.context():
        return _of(find(environment.context()), "given by OBSERVATORY_CONTEXT")
    if current():
        return _of(find(current()), "the context in use")
    origin = "where make run listens (--url or --context name another)"
    return Server(base_url(environment.server_url()), environment.api_key(), origin, is_given=False)


def _of(context: Context, origin: str) -> Server:
    return Server(context.url, context.key() or environment.api_key(), f"{origin}: {context.name}", True, context.name, context.colour)
