"""Servers from Docker, by eventing/compose.yaml, for those that are not on PATH."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from contracts.errors import ConfigurationError
from functions.runtime.servers.place import ADDRESS, Place

COMPOSE = Path(__file__).resolve().parents[3] / "eventing" / "compose.yaml"
NAME = "docker"
_URLS = {
    "postgres": "postgresql://observatory:{password}@{address}:{port}/observatory",
    "redis": "redis://default:{password}@{address}:{port}/0",
    "mongo": "mongodb://observatory:{password}@{address}:{port}/observatory?authSource=admin",
    "rabbitmq": "amqp://observatory:{password}@{address}:{port}/%2F",
}


def is_there() -> bool:
    """Whether there is a Docker engine with Compose that answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return all(
        subprocess.run([docker, *words], capture_output=True, check=False).returncode == 0 for words in (["compose", "version"], ["version"])
    )


def start(place: Place, names: Sequence[str]) -> None:
    """Starts these services and waits until they are healthy. Raises ConfigurationError."""
    _compose(place, "up", "--detach", "--wait", *names)
    for name in names:
        place.remember(name, docker=True)


def stop(place: Place, names: Sequence[str]) -> None:
    _compose(place, "stop", *names)
    for name in names:
        place.remember(name, docker=False)


def url(place: Place, name: str) -> str:
    return _URLS[name].format(password=place.password(NAME), address=ADDRESS, port=place.port(name))


def _compose(place: Place, *words: str) -> None:
    project = f"observatory-{hashlib.sha256(str(place.path).encode()).hexdigest()[:8]}"  # a data folder's own containers
    ports = {f"OBSERVATORY_SERVER_{name.upper()}_PORT": str(place.port(name)) for name in _URLS}
    environment = place.environment | ports | {"OBSERVATORY_SERVER_PASSWORD": place.password(NAME)}
    command = ["docker", "compose", "-f", str(COMPOSE), "-p", project, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"docker compose {' '.join(words)} failed: {done.stderr.strip()[-600:]}")
