"""Redis, for the statistics: appends every write to its file, and refuses writes rather than forgetting when memory is full."""

import re
import shutil
import signal
import subprocess

from functions.runtime.servers.place import ADDRESS, Place
from functions.runtime.servers.process import Started, spawn

NAME = "redis"


class RedisServer:
    name = NAME
    setting = "OBSERVATORY_REDIS_URL"
    how = "Debian, Ubuntu: apt-get install redis-server (7 or later)"
    needs: tuple[str, ...] = ()
    stop_signal = signal.SIGTERM

    def find(self) -> str | None:
        return shutil.which("redis-server")

    def version(self, program: str) -> str:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=([0-9.]+)", said)
        return found[1] if found else said.strip()

    def launch(self, place: Place, program: str) -> Started:
        folder = place.make(NAME)
        settings = {
            "port": place.port(NAME), "bind": ADDRESS, "requirepass": place.password(NAME), "dir": f'"{folder}"',
            "appendonly": "yes", "maxmemory-policy": "noeviction", "daemonize": "no",
        }  # fmt: skip
        configuration = place.write(folder / "redis.conf", "".join(f"{key} {value}\n" for key, value in settings.items()))
        return spawn([program, str(configuration)], place.log(NAME), environment=place.environment)

    def answers(self, place: Place) -> bool:
        from redis import Redis
        from redis.exceptions import RedisError

        try:
            with Redis.from_url(self.url(place), socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False

    def url(self, place: Place) -> str:
        return f"redis://default:{place.password(NAME)}@{ADDRESS}:{place.port(NAME)}/0"
