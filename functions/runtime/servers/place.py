"""Where the servers of a data folder live: a folder each, ports and passwords that stay, and the file of their URLs."""

import json
import os
import pwd
import random
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from functions.runtime.servers.process import Started, wait_until

FOLDER = "servers"
ADDRESS = "127.0.0.1"
LOWEST_PORT = 10_000
SETTLE_SECONDS = 3.0
CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Place:
    """The folder `DATA/servers`. `environment` is what programs inherit."""

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self.path = data.resolve() / FOLDER
        self.environment = dict(environment)

    @property
    def _file(self) -> Path:
        return self.path / "state.json"

    @property
    def urls_file(self) -> Path:
        """Lines `NAME=URL`, which `make run PROFILE=servers` reads."""
        return self.path / "servers.env"

    def folder(self, name: str) -> Path:
        return self.path / name

    def log(self, name: str) -> Path:
        return self.folder(name) / f"{name}.log"

    # ---- what is remembered -----------------------------------------------------------------------------------

    def facts(self, name: str) -> dict[str, Any]:
        """What is remembered of a server, by whichever process."""
        found: dict[str, Any] = self._read().get(name, {})
        return found

    def remember(self, name: str, **facts: Any) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        known = self._read()
        _write_private(self._file, json.dumps(known | {name: known.get(name, {}) | facts}, indent=1))

    def _read(self) -> dict[str, dict[str, Any]]:
        with suppress(OSError, ValueError):
            found: dict[str, dict[str, Any]] = json.loads(self._file.read_text())
            return found
        return {}

    def port(self, name: str, of: str = "port") -> int:
        """A port that was free when it was first asked for, and is kept."""
        if of not in self.facts(name):
            self.remember(name, **{of: _free_port()})
        return int(self.facts(name)[of])

    def renew_ports(self, name: str) -> None:
        """Gives a server that does not run others in place of those that somebody else took meanwhile. What a process beside it holds
        (`names_port`: NAME-names) stays."""
        ports = {of: port for of, port in self.facts(name).items() if of.endswith("port")}
        others = [of for of in ports if self.running(f"{name}-{of.removesuffix('_port')}") is None]
        wait_until(lambda: all(_is_free(ports[of]) for of in others), SETTLE_SECONDS)  # what was killed just now lets go of them late
        taken = [of for of in others if not _is_free(ports[of])]
        if taken:
            self.remember(name, **{of: _free_port() for of in taken})

    def password(self, name: str) -> str:
        if "password" not in self.facts(name):
            self.remember(name, password=secrets.token_hex(16))
        return str(self.facts(name)["password"])

    def running(self, name: str) -> Started | None:
        """The process of a server, when it lives."""
        found = self.facts(name).get("process")
        started = Started.from_json(found) if found else None
        return started if started is not None and started.is_alive else None

    def write_urls(self, urls: Mapping[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        _write_private(self.urls_file, "".join(f"{name}={url}\n" for name, url in urls.items()))

    # ---- folders of other users -------------------------------------------------------------------------------

    def make(self, name: str, user: str | None = None) -> Path:
        """The folder of a server, which belongs to `user` when one is given. Raises ConfigurationError."""
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        if user is not None:
            _require_way_in(folder, user)
            account = pwd.getpwnam(user)
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        return folder

    def write(self, path: Path, text: str, user: str | None = None) -> Path:
        """A file that only its server reads."""
        _write_private(path, text)
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(path, account.pw_uid, account.pw_gid)
        return path


def _free_port() -> int:
    """Below those that the system gives to connections: a client that keeps trying a server that is down is else given that server's own
    port some day, is then connected to itself, and the server finds its port taken."""
    for _ in range(1_000):
        port = random.randrange(LOWEST_PORT, max(_lowest_of_connections(), 2 * LOWEST_PORT))
        if _is_free(port):
            return port
    raise ConfigurationError(f"no port of {ADDRESS} is free for a server")


def _lowest_of_connections() -> int:
    try:
        return int(CONNECTIONS.read_text().split()[0])
    except (OSError, ValueError):
        return 32_768  # Linux's own choice; others begin higher


def _is_free(port: int) -> bool:
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind((ADDRESS, port))
        except OSError:
            return False
        return True


def account_for(user: str) -> str | None:
    """The user to be when this process is root and its program refuses root; None otherwise. Raises ConfigurationError."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(user)
    except KeyError:
        words = f"this runs as root, and there is no user {user} to be instead: start it as another user, or add one: useradd --system {user}"
        raise ConfigurationError(words) from None
    return user


def read_urls(data: Path) -> dict[str, str]:
    """What `make servers` left in a data folder: setting -> URL; {} when it was not run."""
    try:
        lines = (data / FOLDER / "servers.env").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _write_private(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.replace(path)


def _require_way_in(folder: Path, user: str) -> None:
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            raise ConfigurationError(
                f"the user {user}, as whom this server runs, cannot enter {parent}: set OBSERVATORY_DATA to a folder outside of it "
                f"(say /var/tmp/observatory), or start as another user than root"
            )
