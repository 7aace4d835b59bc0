"""The dashboard: how the whole system is, at one look."""

from collections.abc import Mapping, Sequence
from typing import Any

from console import text, timeline
from console.screens.jobs import Jobs
from console.screens.screen import Outcome
from console.state import ALERTS, State, View, Want
from console.theme import STATE_STYLES
from console.widgets.canvas import Area, box
from console.widgets.graphs import sparkline

STATS = Want("/v1/stats")
QUEUES = Want("/v1/queues")
EVENTS = Want("/v1/events", (("limit", "50"),))
FUNCTIONS = Want("/v1/functions", every=2.0)
STATES = ("waiting", "scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled")
WINDOWS = 3


class Dashboard(Jobs):
    """Totals, throughput, times, queues, alerts; below them the newest jobs, which can be opened and acted on."""

    name = "dashboard"
    title = "Dashboard"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (STATS, QUEUES, EVENTS, FUNCTIONS, self.want(view))

    def want(self, view: View) -> Want:
        return Want("/v1/jobs", (("limit", "50"), *((("q", view.query),) if view.query else ())))

    # The table stands below the panels, so its page is smaller.

    def _top(self, state: State) -> int:
        return 3 + (8 if state.lines >= 20 else 0)

    def _bottom(self, state: State) -> int:
        return min(max((state.lines - self._top(state) - 8) // 2, 0), 14) if state.lines >= 30 else 0

    def page(self, state: State) -> int:
        return max(state.lines - 2 - self._top(state) - 2 - self._bottom(state), 1)

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        return super().click(state, what, x, y - self._top(state))

    def draw(self, area: Area, state: State, view: View) -> None:
        top, bottom = self._top(state), self._bottom(state)
        stats = state.document(STATS)
        stats = stats if isinstance(stats, Mapping) else None
        self._totals(area.part(0, 0, lines=3), state, stats)
        if top > 3:
            self._panels(area.part(0, 3, lines=8), state, stats)
        super().draw(area.part(0, top, lines=area.lines - top - bottom), state, view)
        if bottom:
            self._events(area.part(0, area.lines - bottom), state)

    # ---- totals -------------------------------------------------------------------------------------------------

    def _totals(self, area: Area, state: State, stats: Mapping[str, Any] | None) -> None:
        counts = stats["states"] if stats else {}
        room = max((area.columns - 2) // len(STATES), 9)
        for index, status in enumerate(STATES):
            number = counts.get(status)
            x = 1 + index * room
            area.put(x, 0, status, "dim", room - 1)
            area.put(x, 1, "-" if number is None else text.count(number), STATE_STYLES[status] if number else "faint", room - 1)
        area.line(2, "-" if state.ascii_only else "─", "faint")
        if stats and stats["lag"]:
            area.right(2, [(f" statistics are {text.count(stats['lag'])} events behind ", "warn")], 1)

    # ---- panels -------------------------------------------------------------------------------------------------

    def _panels(self, area: Area, state: State, stats: Mapping[str, Any] | None) -> None:
        wide = area.columns >= 110
        part = area.columns // 3 if wide else area.columns // 2
        self._throughput(box(area.part(0, 0, part), "Throughput", ascii_only=state.ascii_only), state, stats)
        self._queues(box(area.part(part, 0, part if wide else area.columns - part), "Queues", ascii_only=state.ascii_only), state)
        if wide:
            self._alerts(box(area.part(2 * part, 0), "Alerts and workers", ascii_only=state.ascii_only), state)

    def _throughput(self, area: Area, state: State, stats: Mapping[str, Any] | None) -> None:
        if stats is None:
            area.put(1, 0, "Reading ...", "dim")
            return
        series, window = stats["series"], stats["windows"][0]
        columns = max(area.columns - 18, 10)
        done = [minute["succeeded"] + minute["failed"] + minute["cancelled"] for minute in series]
        area.spans(1, 0, [("ended  ", "dim"), (sparkline(done, columns, ascii_only=state.ascii_only), "accent"), (f" {window['throughput']:.1f}/s", "title")])
        failed = [minute["failed"] for minute in series]
        rate = text.percent(window["failure_rate"])
        bars = sparkline(failed, columns, ascii_only=state.ascii_only)
        area.spans(1, 1, [("failed ", "dim"), (bars, "bad"), (f" {rate}", "bad" if window["failed"] else "dim")])
        area.spans(8, 3, [(text.pad(name, 9, ">"), "dim") for name in ("p50", "p95", "p99")])
        for line, (label, key) in enumerate((("waited", "waiting_seconds"), ("ran", "running_seconds")), 4):
            times = window[key]
            area.spans(1, line, [(label.ljust(7), "dim"), *((text.pad(text.duration(times[p]), 9, ">"), "") for p in ("p50", "p95", "p99"))])

    def _queues(self, area: Area, state: State) -> None:
        queues = sorted(state.items(QUEUES), key=lambda queue: (-queue["depth"], -queue["running"], queue["name"]))
        area.spans(1, 0, [(text.pad("queue", 12), "dim"), (text.pad("depth", 7, ">"), "dim"), (text.pad("running", 9, ">"), "dim"), ("  oldest", "dim")])
        for line, queue in enumerate(queues[: area.lines - 1], 1):
            limit = f"/{queue['max_running']}" if queue.get("max_running") else ""
            held = ("  paused", "warn") if queue["paused"] else (f"  {text.duration(queue['oldest_age_seconds'])}" if queue["depth"] else "", "dim")
            area.spans(1, line, [
                (text.pad(text.fit(text.clean(queue["name"]), 12), 12), ""),
                (text.pad(text.count(queue["depth"]), 7, ">"), "info" if queue["depth"] else "faint"),
                (text.pad(f"{queue['running']}{limit}", 9, ">"), "active" if queue["running"] else "faint"), held])  # fmt: skip

    def _alerts(self, area: Area, state: State) -> None:
        alerts = state.items(ALERTS)
        for line, alert in enumerate(alerts[: area.lines - 2]):
            area.put(1, line, str(alert.get("summary") or alert.get("message") or alert.get("name")), "bad" if alert.get("severity") != "warning" else "warn")
        if not alerts:
            area.put(1, 0, "no alert" if state.document(ALERTS) is not None else "not read yet", "ok" if state.document(ALERTS) is not None else "dim")
        instances = [(f["name"], len(f["instances"])) for f in state.items(FUNCTIONS)]
        for line, (name, count) in enumerate(instances[-6:] if len(alerts) == 0 else [], 1):
            if line < area.lines:
                area.spans(1, line, [(name.ljust(16), "dim"), (f"{count} up" if count else "at zero", "ok" if count else "faint")])

    # ---- events -------------------------------------------------------------------------------------------------

    def _events(self, area: Area, state: State) -> None:
        area.put(1, 0, "Recent events", "title")
        area.line(0, "-" if state.ascii_only else "─", "faint", x=16)
        for line, event in enumerate(newest_events(state)[: area.lines - 1], 1):
            name = timeline.short_name(event["type"])
            style = STATE_STYLES.get(name.rpartition(".")[2], "dim")
            area.spans(1, line, [
                (event["time"][11:23] + "  ", "faint"), (text.pad(text.fit(name, 22), 23), style),
                (text.pad(text.fit(text.clean(event.get("jobtype") or ""), 18), 19), ""),
                (text.fit(text.clean(event["subject"].removeprefix("job/")), 38) + "  ", "faint"), (timeline.detail(event), "dim")])  # fmt: skip


def newest_events(state: State) -> list[Mapping[str, Any]]:
    """What was read and what the live stream brought since, newest first."""
    read = state.items(EVENTS)
    newest = int(read[0]["position"]) if read else 0
    return [event for event in reversed(state.live) if int(event["position"]) > newest] + read
