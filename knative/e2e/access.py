"""The access points: which port leads where, and the proxy's configuration, made from the OpenAPI document.

`python -m knative.e2e proxy` writes knative/base/envoy.yaml; a test holds the file equal to what this makes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

KOURIER = ("kourier-internal.kourier-system.svc.cluster.local", 80)
NAMESPACE = "observatory"
EACH_HAS = ("/health/", "/metrics")  # what every function answers for itself: who asks there asks that port's own
LOCAL = ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*"]


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A port of this machine and of the proxy. `function`: who answers what no operation names; else `upstream` is asked."""

    name: str
    port: int
    path: str
    function: str = ""
    upstream: tuple[str, int] | None = None
    login: str = ""  # the Secret that holds its login

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"


ACCESS = (
    AccessPoint("gateway", 3000, "/health/readiness", function="gateway"),
    AccessPoint("read model", 8080, "/health/readiness", function="read-model"),
    AccessPoint("dashboard", 8081, "/", function="read-model"),
    AccessPoint("Prometheus", 9090, "/-/ready", upstream=("prometheus", 9090)),
    AccessPoint("Grafana", 3002, "/api/health", upstream=("grafana", 3000), login="grafana"),
    AccessPoint("RabbitMQ", 15672, "/", upstream=("rabbitmq", 15672), login="rabbitmq"),
)


def names_by_port() -> dict[int, str]:
    return {point.port: point.name for point in ACCESS}


# ---- the proxy --------------------------------------------------------------------------------------------------


def operations() -> list[tuple[str, str, str]]:
    """(method, path, function) of every operation that one function owns, from the OpenAPI document."""
    from functions.runtime.openapi import routes

    return [(route.method, route.path, owner) for owner, route in routes() if not route.path.startswith(EACH_HAS)]


def proxy_configuration(owned: Iterable[tuple[str, str, str]]) -> str:
    """Envoy's configuration (API v3) as YAML."""
    routes = [route for operation in sorted(owned, key=_specific_first) if (route := _operation_route(*operation))]
    listeners = [_listener(point, routes) for point in ACCESS]
    upstreams = {point.upstream for point in ACCESS if point.upstream} | {KOURIER}
    document = {
        "admin": {"address": _address("127.0.0.1", 9901)},
        "static_resources": {"listeners": listeners, "clusters": [_cluster(host, port) for host, port in sorted(upstreams)]},
    }
    return "# Made by `python -m knative.e2e proxy` from the OpenAPI document and the access points; not written by hand.\n" + yaml.safe_dump(
        document, sort_keys=False, width=140
    )


def _specific_first(operation: tuple[str, str, str]) -> tuple[list[tuple[bool, str]], str]:
    method, path, _ = operation
    return [(segment.startswith("{"), segment) for segment in path.split("/")], method


def _operation_route(method: str, path: str, function: str) -> dict[str, Any]:
    where = {"safe_regex": {"regex": re.sub(r"\{[^}]*\}", "[^/]+", path)}} if "{" in path else {"path": path}
    taken = {"safe_regex": {"regex": "GET|HEAD"}} if method == "GET" else {"exact": method}  # every GET takes HEAD, too
    match = {**where, "headers": [{"name": ":method", "string_match": taken}]}
    return {"match": match, "route": _to_function(function)}


def _to_function(function: str) -> dict[str, Any]:
    """Through Kourier, which wakes the function; no time limit of its own, for jobs are waited for and streams stay open."""
    return {"cluster": _name(*KOURIER), "timeout": "0s", "host_rewrite_literal": f"{function}.{NAMESPACE}.svc.cluster.local"}


def _listener(point: AccessPoint, routes: list[dict[str, Any]]) -> dict[str, Any]:
    if point.upstream is not None:
        to = {"cluster": _name(*point.upstream), "timeout": "0s"}
        own: list[dict[str, Any]] = []
    else:
        to, own = _to_function(point.function), routes
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"port_{point.port}",
        "use_remote_address": True,
        "stream_idle_timeout": "3600s",
        "normalize_path": False,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "virtual_hosts": [{"name": point.name, "domains": LOCAL, "routes": [*own, {"match": {"prefix": "/"}, "route": to}]}],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    }
    return {
        "name": point.name,
        "address": _address("0.0.0.0", point.port),  # noqa: S104 - inside the pod
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(host: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": _name(host, port),
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "dns_lookup_family": "V4_ONLY",
        "load_assignment": {"cluster_name": _name(host, port), "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _name(host: str, port: int) -> str:
    return f"{host.partition('.')[0]}-{port}"


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
