"""Which processes there are: who hosts which function, in which order they stop."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import ConfigurationError
from functions.runtime.settings import Settings

FRONT = "front"  # gateway and read model, and what people ask of dead letters: the one port
BEHIND = ("processor", "metrics-engine", "scheduler", "dead-letter")
NEEDED = {"OBSERVATORY_POSTGRES_URL": "postgres_url", "OBSERVATORY_REDIS_URL": "redis_url", "OBSERVATORY_RABBITMQ_URL": "rabbitmq_url"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A process: its role, and its name among its like. Those of a lower `ends` are stopped before the others."""

    role: str
    name: str
    ends: int


def roster(settings: Settings) -> list[Entry]:
    """Every process, in the order they are started. Raises ConfigurationError naming a server that no setting names."""
    if missing := [setting for setting, name in NEEDED.items() if not getattr(settings, name)]:
        raise ConfigurationError(
            f"PROFILE=servers needs {', '.join(missing)}: name your servers by their URLs, or let `make servers` start them all here"
        )
    counts = {FRONT: max(settings.fronts, 1), "processor": max(settings.processors, 1)}
    entries = []
    for role in (FRONT, *BEHIND):
        for number in range(1, counts.get(role, 1) + 1):
            name = role if counts.get(role, 1) == 1 else f"{role}-{number}"
            entries.append(Entry(role, name, 0 if role in counts else 1))
    return entries


def workers_each(settings: Settings) -> int:
    """Worker processes of each processor: what was asked for, else its share of two a core."""
    return settings.workers or max(settings.worker_count // max(settings.processors, 1), 1)


def addresses(ports: dict[str, int], services: Sequence[str]) -> str:
    """The setting OBSERVATORY_SUBSCRIBERS: where each Service of the Triggers is reached, by the port of its role."""
    known = {service: ports[role] for service in services if (role := _role_of(service)) in ports}
    return ",".join(f"{service}=http://127.0.0.1:{port}" for service, port in known.items())


def _role_of(service: str) -> str:
    """A queue's own Service (`processor-io`) is served by the processors."""
    return "processor" if service.startswith("processor-") else service
