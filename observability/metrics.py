"""Prometheus text of one process. Business figures come from the stores (see the read model), never from here."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


class _FunctionCollector:
    def __init__(self, name: str, requests: dict[tuple[str, int], int], up_seconds: float) -> None:
        self._name, self._requests, self._up_seconds = name, requests, up_seconds

    def collect(self):  # type: ignore[no-untyped-def]
        up = GaugeMetricFamily("observatory_function_up_seconds", "Time since this instance started.", labels=["function"])
        up.add_metric([self._name], self._up_seconds)
        labels = ["function", "method", "status"]
        requests = CounterMetricFamily("observatory_requests", "Requests answered by this instance.", labels=labels)
        for (method, status), count in sorted(self._requests.items()):
            requests.add_metric([self._name, method, str(status)], count)
        yield up
        yield requests


def function_metrics(name: str, requests: dict[tuple[str, int], int], up_seconds: float) -> bytes:
    """The exposition text of one function's instance."""
    registry = CollectorRegistry()
    registry.register(_FunctionCollector(name, requests, up_seconds))
    return generate_latest(registry)
