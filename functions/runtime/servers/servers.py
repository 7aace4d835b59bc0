"""All servers of a data folder: what runs, starting what does not, stopping what was started here."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from contracts.errors import ConfigurationError
from functions.runtime.servers import docker
from functions.runtime.servers.mongo import MongoServer
from functions.runtime.servers.place import Place
from functions.runtime.servers.postgres import PostgresServer
from functions.runtime.servers.process import Started, wait_until
from functions.runtime.servers.rabbitmq import RabbitmqServer
from functions.runtime.servers.redis import RedisServer
from functions.runtime.servers.server import Server

NAMES = ("postgres", "redis", "mongo", "rabbitmq")
START_SECONDS = 120.0
_BESIDE = ("rabbitmq-names",)  # processes that a server brought along

Say = Callable[[str], None]


class Servers:
    """The servers below `place`. `mongo` names a program for MongoDB; `say` tells people what happens."""

    def __init__(self, place: Place, *, mongo: str = "", say: Say = lambda words: None) -> None:
        self.place, self._say = place, say
        known: list[Server] = [PostgresServer(), RedisServer(), MongoServer(mongo), RabbitmqServer()]
        self._servers = {server.name: server for server in known}

    # ---- asking -----------------------------------------------------------------------------------------------

    def missing(self, names: Sequence[str] = NAMES) -> dict[str, str]:
        """Those that can be started neither from PATH nor from Docker: name -> how to get it."""
        absent = [name for name in names if self._servers[name].find() is None]
        if not absent or docker.is_there():
            return {}
        return {name: f"{self._servers[name].how}; or install Docker with Compose" for name in absent}

    def running(self, name: str) -> Started | None:
        """The process of a server that was started from PATH."""
        return self.place.running(name)

    def url(self, name: str) -> str:
        """With credentials."""
        return docker.url(self.place, name) if self._is_docker(name) else self._servers[name].url(self.place)

    def folder(self, name: str) -> Path:
        return self.place.folder(name)

    def urls(self) -> dict[str, str]:
        """Setting -> URL of each server that was started."""
        started = [name for name in NAMES if self._is_docker(name) or self.running(name) is not None]
        return {self._servers[name].setting: self.url(name) for name in started}

    def _is_docker(self, name: str) -> bool:
        return bool(self.place.facts(name).get("docker"))

    # ---- starting ---------------------------------------------------------------------------------------------

    def start(self, names: Sequence[str] = NAMES) -> None:
        """Starts those that do not run, waits until each answers, and writes their URLs.

        Raises ConfigurationError when one does not start, or, once the others run, when some are missing: it says how to get them.
        """
        missing = self.missing(names)
        for round_ in self._rounds([name for name in names if name not in missing]):
            for name in [name for name in round_ if self._launch(name)]:
                self._await(name)
        absent = [name for name in names if name not in missing and self._servers[name].find() is None]
        if absent:
            self._say(f"{', '.join(absent)} from Docker ...")
            docker.start(self.place, absent)
        self.place.write_urls(self.urls())
        if missing:
            raise ConfigurationError("\n".join(f"{name} is not here: {how}" for name, how in missing.items()))

    def _rounds(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Servers from PATH; those that need none first, all at once, then those that need them."""
        present = [name for name in names if self._servers[name].find() is not None]
        needed = [need for name in present for need in self._servers[name].needs]
        first = [name for name in dict.fromkeys([*needed, *present]) if not self._servers[name].needs]
        yield first
        yield [name for name in present if name not in first]

    def _launch(self, name: str) -> bool:
        """Whether it had to be started."""
        server = self._servers[name]
        if self.running(name) is not None:
            return not server.answers(self.place)
        program = server.find()
        assert program is not None
        self.place.renew_ports(name)
        self._say(f"{name} {server.version(program)} ({program}) ...")
        self.place.remember(name, process=server.launch(self.place, program).as_json())
        return True

    def _await(self, name: str) -> None:
        server = self._servers[name]
        wait_until(lambda: server.answers(self.place) or self.running(name) is None, START_SECONDS)
        if self.running(name) is None or not server.answers(self.place):
            raise ConfigurationError(f"{name} did not start; {self.place.log(name)} says:\n{_tail(self.place.log(name))}")

    # ---- stopping ---------------------------------------------------------------------------------------------

    def stop(self, names: Sequence[str] = NAMES) -> list[str]:
        """Ends what was started here, in reverse order, by process id; returns what ran. Data, ports and passwords stay."""
        stopped = []
        for name in reversed([name for name in NAMES if name in names]):
            process = self.running(name)
            if process is not None:
                self._say(f"stopping {name} (process {process.pid}) ...")
                process.stop(self._servers[name].stop_signal)
                stopped.append(name)
            elif self._is_docker(name):
                docker.stop(self.place, [name])
                stopped.append(name)
            self._stop_beside(name)
        if set(names) >= set(NAMES):
            self.place.urls_file.unlink(missing_ok=True)
        return stopped

    def _stop_beside(self, name: str) -> None:
        for beside in _BESIDE:
            if beside.startswith(name) and (process := self.place.running(beside)) is not None:
                process.stop()


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace").strip()[-1_500:]
    return "nothing"
