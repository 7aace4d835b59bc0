"""A way to the access points of a cluster whose nodes open no ports: kubectl forwards to the proxy, which never sleeps."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator

from knative.e2e import cluster
from knative.e2e.access import ACCESS, AccessPoint
from knative.e2e.kubectl import Kubectl

COMMAND = "port-forward", "service/access"


@contextlib.contextmanager
def addresses(api: Kubectl) -> Iterator[dict[str, str]]:
    """The base address of each access point by its name, while this is open."""
    if not cluster.is_existing():
        yield {point.name: point.address for point in ACCESS}
        return
    ports = dict(zip(ACCESS, _free_ports(len(ACCESS)), strict=True))
    closed = threading.Event()
    forwarding = threading.Thread(target=_forward, args=(api, ports, closed), daemon=True)
    forwarding.start()
    try:
        yield {point.name: f"http://localhost:{port}" for point, port in ports.items()}
    finally:
        closed.set()
        forwarding.join()


def by_hand(api: Kubectl) -> str:
    """The command by which a person opens them on their usual ports."""
    return " ".join(api.command(*COMMAND, *(str(point.port) for point in ACCESS if point.upstream is None or api.exists("service", point.upstream[0]))))


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(number)]


def _forward(api: Kubectl, ports: dict[AccessPoint, int], closed: threading.Event) -> None:
    """A forwarding that ends (its pod went away) is begun again."""
    words = api.command(*COMMAND, *(f"{port}:{point.port}" for point, port in ports.items()))
    while not closed.is_set():
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not closed.wait(0.2):
                pass
            process.terminate()
        closed.wait(0.2)
