"""Real servers for tests: Redis, MongoDB, PostgreSQL, RabbitMQ.

`make test` takes those that `make servers` has running on this machine and skips the others by name. With
OBSERVATORY_TEST_SERVERS=required (`make test-servers`) each is started when a test first asks for it, in a folder of the
session, and one that is missing is a failure (but those that OBSERVATORY_TEST_WITHOUT names). A test leaves nothing behind
in a server that it shares: it works below a name of its own. A test that kills, flushes or fills a server starts its own with `own_servers`.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from functions.runtime.servers.place import Place
from functions.runtime.servers.servers import Servers

REQUIRED = os.environ.get("OBSERVATORY_TEST_SERVERS", "") == "required"
WITHOUT = os.environ.get("OBSERVATORY_TEST_WITHOUT", "").split(",")
_SETTINGS = {name: f"OBSERVATORY_{name.upper()}_URL" for name in ("postgres", "redis", "mongo", "rabbitmq")}
_started: dict[str, Servers] = {}


def servers_below(folder: Path) -> Servers:
    """Servers of a folder, none of them started."""
    return Servers(Place(folder, os.environ), mongo=os.environ.get("OBSERVATORY_MONGO_SERVER", ""))


def server_url(name: str) -> str:
    """The URL of a running server of this session, with credentials."""
    if not REQUIRED:
        url = servers_below(Path(os.environ.get("OBSERVATORY_DATA", "").strip() or ".observatory")).urls().get(_SETTINGS[name])
        if url is None:
            pytest.skip(f"{name} does not run here: `make servers` starts it, `make test-servers` needs it")
        return url
    if not _started:
        _started["session"] = servers_below(_folder_for_all())
    return _start(_started["session"], name)


@contextlib.contextmanager
def own_servers(*names: str) -> Iterator[Servers]:
    """Servers for one test alone, which may do with them what it likes; stopped and removed at its end."""
    if not REQUIRED:
        pytest.skip(f"{', '.join(names)} of its own: `make test-servers` starts it")
    folder = _folder_for_all()
    servers = servers_below(folder)
    try:
        for name in names:
            _start(servers, name)
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def server_folder(name: str) -> Iterator[Path]:
    """A folder for a server that a test starts, and stops, in a way of its own; removed at its end."""
    needs(name)
    if not REQUIRED:
        pytest.skip(f"{name} of its own: `make test-servers` starts it")
    folder = _folder_for_all()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop_started() -> None:
    """At the end of the session."""
    for servers in _started.values():
        servers.stop()
        shutil.rmtree(servers.place.path.parent, ignore_errors=True)
    _started.clear()


def needs(name: str) -> None:
    """Skips a test that is about a server which is not to be had here, naming it."""
    if name in WITHOUT:
        pytest.skip(f"{name} is not here, as OBSERVATORY_TEST_WITHOUT says")


def _start(servers: Servers, name: str) -> str:
    needs(name)
    try:
        servers.start([name])
    except ConfigurationError as error:
        pytest.fail(str(error), pytrace=False)
    return servers.url(name)


def _folder_for_all() -> Path:
    """Which the users of the servers may enter."""
    folder = Path(tempfile.mkdtemp(prefix="observatory-servers-"))
    folder.chmod(0o755)
    return folder
