"""Business figures as Prometheus text, read from the stores: they survive a function that scales to zero."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from contracts.statistics import Figures, State, bounds
from contracts.times import MICROSECONDS

# powers of two of a microsecond, at which our buckets end: 1 ms to 19 hours
_BOUNDS = tuple(1 << power for power in range(10, 37, 2))
_COUNTERS = {
    "accepted": "Jobs that were accepted.",
    "started": "Attempts that were started.",
    "succeeded": "Jobs that succeeded.",
    "failed": "Jobs that failed for good.",
    "retrying": "Attempts after which another one follows.",
    "cancelled": "Jobs that were cancelled.",
    "released": "Attempts that were given back uncounted.",
    "reopened": "Jobs that a person's retry reopened.",
    "timed_out": "Attempts that ran out of time.",
    "lease_lost": "Attempts whose lease ran out.",
    "worker_died": "Attempts whose worker process died.",
    "cold_starts": "Attempts that were the first of a fresh instance.",
    "refused": "Requests that were refused at the door.",
}
_TIMES = {
    "waited": ("observatory_job_waiting_seconds", "From queued to started."),
    "ran": ("observatory_job_running_seconds", "From started to the attempt's end."),
}


@dataclass(frozen=True, slots=True)
class BusinessFigures:
    """Jobs by state, sums since the beginning, the feed's head, its readers' cursors, dead letters, open live streams, of each
    raised alert its name and severity, and of each store whether it answers."""

    states: Mapping[State, int]
    sums: Figures
    head: int
    cursors: Mapping[str, int]
    dead_letters: Mapping[str, int]
    streams: int
    alerts: Sequence[tuple[str, str]] = ()
    stores: Mapping[str, bool] = field(default_factory=dict)


def business_metrics(figures: BusinessFigures) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry()
    registry.register(_Collector(figures))
    return generate_latest(registry)


class _Collector:
    def __init__(self, figures: BusinessFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield self._states()
        yield from self._gauges()
        yield from self._counters()
        yield from self._times()

    def _states(self) -> Metric:
        jobs = GaugeMetricFamily("observatory_jobs", "Jobs by state.", labels=["queue", "type", "state"])
        for key, count in sorted(self._figures.states.items()):
            jobs.add_metric(list(key), count)
        return jobs

    def _gauges(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("observatory_feed_head", "Position of the last committed event.", value=self._figures.head)
        lag = GaugeMetricFamily("observatory_feed_lag_events", "Events between the head of the feed and a reader.", labels=["reader"])
        for reader, position in sorted(self._figures.cursors.items()):
            lag.add_metric([reader], max(self._figures.head - position, 0))
        yield lag
        letters = GaugeMetricFamily("observatory_dead_letters", "Dead letters by status.", labels=["status"])
        for status, count in sorted(self._figures.dead_letters.items()):
            letters.add_metric([status], count)
        yield letters
        alerts = GaugeMetricFamily("observatory_alerts", "Raised alerts.", labels=["name", "severity"])
        for key, count in sorted(Counter(self._figures.alerts).items()):
            alerts.add_metric(list(key), count)
        yield alerts
        up = GaugeMetricFamily("observatory_store_up", "Whether a store answers (1) or not (0).", labels=["store"])
        for store, answers in sorted(self._figures.stores.items()):
            up.add_metric([store], int(answers))
        yield up
        yield GaugeMetricFamily("observatory_live_streams", "Open live streams of this instance.", value=self._figures.streams)

    def _counters(self) -> Iterator[Metric]:
        for measure, words in _COUNTERS.items():
            counter = CounterMetricFamily(f"observatory_jobs_{measure}", words, labels=["queue", "type"])
            for (queue, job_type, name), value in sorted(self._figures.sums.sums.items()):
                if name == measure:
                    counter.add_metric([queue, job_type], value)
            yield counter

    def _times(self) -> Iterator[Metric]:
        for measure, (name, words) in _TIMES.items():
            family = HistogramMetricFamily(name, words, labels=["type"])
            for job_type, figures in sorted(self._figures.sums.by_type().items()):
                if figures.total(measure):
                    total = figures.total(f"{measure}_micros") / MICROSECONDS
                    family.add_metric([job_type], buckets=_cumulative(figures.times(measure)), sum_value=total)
            yield family


def _cumulative(counts: Mapping[int, int]) -> list[tuple[str, float]]:
    buckets = [
        (repr(bound / MICROSECONDS), float(sum(count for bucket, count in counts.items() if bounds(bucket)[1] < bound))) for bound in _BOUNDS
    ]
    return [*buckets, ("+Inf", float(sum(counts.values())))]
