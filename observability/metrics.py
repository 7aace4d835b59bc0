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


class _SpoolCollector:
    def __init__(self, letters: dict[str, int]) -> None:
        self._letters = letters

    def collect(self):  # type: ignore[no-untyped-def]
        spooled = GaugeMetricFamily("observatory_dead_letters_spooled", "Dead letters in this instance's spool.", labels=["state"])
        for state, count in self._letters.items():
            spooled.add_metric([state], count)
        yield spooled


def spool_metrics(waiting: int, damaged: int) -> bytes:
    """The exposition text of a spool: letters that wait for the job store, and files that cannot be read."""
    registry = CollectorRegistry()
    registry.register(_SpoolCollector({"waiting": waiting, "damaged": damaged}))
    return generate_latest(registry)


def function_metrics(name: str, requests: dict[tuple[str, int], int], up_seconds: float) -> bytes:
    """The exposition text of one function's instance."""
    registry = CollectorRegistry()
    registry.register(_FunctionCollector(name, requests, up_seconds))
    return generate_latest(registry)
