"""`make run PROFILE=servers`: the six functions as several processes against servers named by settings."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from contracts.errors import ConfigurationError, DataFolderInUse, ObservatoryError
from functions.runtime import settings as settings_module
from functions.runtime.access import require_keys_or_loopback
from functions.runtime.adapters import check_urls
from functions.runtime.data_folder import DataFolder
from functions.runtime.local import bind, url_host
from functions.runtime.processes.output import Lines, prefixes
from functions.runtime.processes.roster import BEHIND, FRONT, Entry, addresses, roster, workers_each
from functions.runtime.processes.supervisor import Child, Supervisor
from functions.runtime.processes.telling import Teller
from functions.runtime.servers.place import read_urls
from functions.runtime.settings import Settings
from observability.logs import configure

STARTED = time.monotonic()
READY_SECONDS = 20.0
CATALOGUE = "catalogue.json"


class System:
    """The sockets, the children's environment, and the supervisor of all."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], teller: Teller) -> None:
        self.settings, self.teller = settings, teller
        self.entries = roster(settings)
        check_urls(settings)
        self.front = bind(settings.host, settings.port)
        self.url = f"http://{url_host(settings.host)}:{self.front.getsockname()[1]}"
        self._listeners = {FRONT: self.front} | {role: bind("127.0.0.1", 0) for role in BEHIND}
        self.ports = {role: self._listeners[role].getsockname()[1] for role in BEHIND}
        self._environment = self._shared(environment)
        column = prefixes([entry.name for entry in self.entries])
        self._prefixes = column if teller.to_people else dict.fromkeys(column, "")
        self.supervisor: Supervisor | None = None

    def _shared(self, environment: Mapping[str, str]) -> dict[str, str]:
        from eventing.triggers import load_triggers

        settings = self.settings
        services = [trigger.subscriber.service or "" for trigger in load_triggers(settings.trigger_files)]
        return dict(environment) | {
            "OBSERVATORY_SUBSCRIBERS": settings.subscribers or addresses(self.ports, services),
            "OBSERVATORY_WORKERS": str(workers_each(settings)),
            "OBSERVATORY_LOG_FORMAT": "people" if self.teller.to_people else "json",
            "OBSERVATORY_CATALOGUE": settings.catalogue or str(_collect(settings, environment)),
            "PYTHONUNBUFFERED": "1",
        }

    def _child(self, entry: Entry) -> Child:
        own = {"OBSERVATORY_INSTANCE": f"{self.settings.instance}/{entry.name}"}
        lines = Lines(self._prefixes[entry.name], self.teller.write)
        return Child(entry, self._listeners[entry.role], self._environment | own, lines)

    async def run(self) -> int:
        self.supervisor = Supervisor([self._child(entry) for entry in self.entries], self.settings.drain_seconds, self.teller.say)
        loop, stops = asyncio.get_running_loop(), 0

        def on_signal() -> None:
            nonlocal stops
            stops += 1
            assert self.supervisor is not None
            if stops > 1:
                self.supervisor.kill_all()
                os._exit(130)
            self.teller.stopping(self.settings)
            self.supervisor.ask_to_stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        greeting = asyncio.create_task(self._greet())
        code = await self.supervisor.run()
        greeting.cancel()
        if not code:
            self.teller.stopped()
        return code

    async def _greet(self) -> None:
        """Once every process is ready, or has had its time: what is away then, its own lines say."""
        addresses = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        waiting = [self.url, *addresses]
        while waiting and time.monotonic() - STARTED < READY_SECONDS:
            ready = await asyncio.gather(*(asyncio.to_thread(_is_ready, address) for address in waiting))
            waiting = [address for address, is_ready in zip(waiting, ready, strict=True) if not is_ready]
            await asyncio.sleep(0.1)
        self.teller.started(self.settings, self.url, self.entries, self.ports, time.monotonic() - STARTED)


def _is_ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/health/readiness", timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _collect(settings: Settings, environment: Mapping[str, str]) -> Path:
    """The tasks as data, collected once for all processes. Raises ConfigurationError."""
    command = [sys.executable, "-m", "functions.processor.tasks.collect", *settings.task_modules]
    done = subprocess.run(command, env=dict(environment), cwd=settings_module.ROOT, capture_output=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"the tasks cannot be collected: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    path = settings.data_folder.resolve() / CATALOGUE
    path.write_bytes(json.dumps(json.loads(done.stdout)).encode())
    return path


def environment_of(given: argparse.Namespace) -> dict[str, str]:
    """Our own, with the URLs of the servers that `make servers` started where none are named."""
    own = dict(os.environ) | ({"OBSERVATORY_QUIET": "1"} if given.quiet else {})
    started = read_urls(settings_module.load(own).data_folder)
    return {name: url for name, url in started.items() if not own.get(name)} | own


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run PROFILE=servers", description="Runs the whole system as several processes over servers.")
    parser.add_argument("--quiet", action="store_true", help="no line a job")
    given = parser.parse_args(arguments)
    try:
        environment = environment_of(given)
        settings = settings_module.load(environment)
        configure(settings.log_format)
        require_keys_or_loopback(settings.host, settings.rules)
        folder = DataFolder(settings.data_folder)
        try:
            folder.acquire()
        except DataFolderInUse:
            holder = folder.holder()
            print(f"Already running: process {holder.get('pid', '?')}, {holder.get('url', 'still starting')} "
                  f"(data folder {settings.data_folder.resolve()}).")  # fmt: skip
            return 0
        system = System(settings, environment, Teller(settings.log_format))
        folder.describe({"url": system.url})
        return asyncio.run(system.run())
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
