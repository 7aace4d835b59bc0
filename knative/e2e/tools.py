"""The programs that a cluster needs, and whether the ports of its access points are free."""

import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from knative.e2e.shell import ROOT, attempt
from knative.e2e.stages import StageFailed

KIND_CONFIG = ROOT / "knative" / "kind.yaml"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, the least version that works, and how to get it."""

    name: str
    least: tuple[int, int]
    ask: Sequence[str]
    get: str


DOCKER = Tool("docker", (20, 10), ("docker", "version", "--format", "{{.Server.Version}}"), "a Docker engine: docs.docker.com/engine/install")
KIND = Tool("kind", (0, 24), ("kind", "version"), "kind: kind.sigs.k8s.io/docs/user/quick-start")
KUBECTL = Tool("kubectl", (1, 30), ("kubectl", "version", "--client"), "kubectl: kubernetes.io/docs/tasks/tools")


def check_tools(tools: Sequence[Tool]) -> str:
    """The versions found, in words. Raises StageFailed with everything that is missing, at once."""
    found, faults = [], []
    for tool in tools:
        try:
            found.append(f"{tool.name} {_version(tool)}")
        except StageFailed as fault:
            faults.append(f"{fault.message}; {fault.look or f'install {tool.get}'}")
    if faults:
        raise StageFailed("\n".join(faults))
    return ", ".join(found)


def _version(tool: Tool) -> str:
    if shutil.which(tool.name) is None:
        raise StageFailed(f"{tool.name} is missing")
    done = attempt(tool.ask, timeout=20)
    match = re.search(r"(\d+)\.(\d+)(\.\d+)?", done.stdout)
    if done.returncode != 0 or match is None:
        raise StageFailed(f"{tool.name} does not answer ({(done.stderr or done.stdout).strip()[:200]})", "does it run?")
    if (int(match[1]), int(match[2])) < tool.least:
        raise StageFailed(f"{tool.name} {match[0]} is too old; {tool.least[0]}.{tool.least[1]} or later is needed")
    return match[0]


def mapped_ports() -> list[int]:
    """The ports of this machine that the cluster takes."""
    nodes: list[dict[str, Any]] = yaml.safe_load(KIND_CONFIG.read_text())["nodes"]
    return [mapping["hostPort"] for node in nodes for mapping in node.get("extraPortMappings", [])]


def check_ports(names: dict[int, str]) -> None:
    """Raises StageFailed naming every access point whose port somebody has."""
    taken = [port for port in mapped_ports() if _is_taken(port)]
    if taken:
        words = ", ".join(f"{port} ({names.get(port, 'access point')})" for port in taken)
        raise StageFailed(f"taken ports: {words}", "stop what listens there (ss -ltnp shows it), or change hostPort in knative/kind.yaml")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
