"""The dashboard's panels: each draws one group of figures. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from console import text, timeline
from console.screens.alerts import style_of, words_of
from console.screens.jobs import ago
from console.state import State
from console.theme import STATE_STYLES
from console.wants import ALERTS, EVENTS, FUNCTIONS, QUEUES, STATS
from console.widgets.canvas import Area, Span
from console.widgets.graphs import area_graph, bar, per_second

STATES = ("waiting", "scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled")
SHORT_STATES = {"scheduled": "sched", "retrying": "retry", "succeeded": "success", "cancelled": "cancel"}
LIVE_SECONDS = 120
PERCENTILES = ("p50", "p95", "p99")
Window = Mapping[str, Any] | None


def totals(area: Area, state: State, has_alerts_panel: bool) -> None:
    """Jobs by state, and below them the worst alert where no panel shows it."""
    stats = state.document(STATS)
    counts = stats["states"] if isinstance(stats, Mapping) else {}
    room = max((area.columns - 1) // len(STATES), 9)
    for index, status in enumerate(STATES):
        number, x = counts.get(status), 1 + index * room
        label = status if len(status) < room - 1 else SHORT_STATES.get(status, status)
        area.put(x, 0, label, "dim", room - 1)
        area.put(x, 1, "-" if number is None else text.count(number), STATE_STYLES[status] if number else "faint", room - 1)
    area.line(2, "-" if state.ascii_only else "─", "faint")
    stale = state.stale(STATS)
    note = ""
    if stale is not None:
        note = f" these figures are {text.age(stale)} old "
    elif stats and stats["lag"]:
        note = f" statistics are {text.count(stats['lag'])} event{'s' * (stats['lag'] != 1)} behind "
    area.right(2, [(note, "bad" if stale is not None else "warn")], 1)
    alerts = state.items(ALERTS)
    if alerts and not has_alerts_panel:
        more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
        said = text.fit(f" {_alert_mark(state)}{words_of(alerts[0])}{more} ", area.columns - 2 - len(note))
        area.put(1, 2, said, style_of(alerts[0]))


# ---- throughput and times ---------------------------------------------------------------------------------------


def throughput(area: Area, state: State, window: Window, *, with_times: bool) -> None:
    """Jobs that ended and that failed in each of the last 60 minutes, and in each of the last seconds."""
    stats = state.document(STATS)
    if window is None or not isinstance(stats, Mapping):
        area.put(1, 0, "Reading ...", "dim")
        return
    series = stats["series"]
    ended = [minute["succeeded"] + minute["failed"] + minute["cancelled"] for minute in series]
    failed = [minute["failed"] for minute in series]
    live = per_second(state.samples, state.now, LIVE_SECONDS)
    now = live[-1] if live else 0.0
    high = max(area.lines - 2 - (3 if with_times else 0), 1)
    _graph(area, 0, high, "60 min", ended, (f"{_rate(window['throughput'])}/s", "title"), "accent", state)
    _graph(area, high, 1, "failed", failed, (text.percent(window["failure_rate"]), "bad" if window["failed"] else "dim"), "bad", state)
    _graph(area, high + 1, 1, "live", live, (f"{_rate(now)}/s", "title" if now else "dim"), "ok", state)
    if with_times:
        _table_of_times(area.part(0, high + 2), window)


def _graph(area: Area, y: int, rows: int, label: str, values: list[Any], figure: tuple[str, str], style: str, state: State) -> None:
    columns = max(area.columns - 17, 4)
    area.put(1, y, label, "dim")
    if rows > 2:
        area.put(1, y + 1, "max", "dim")
        area.put(1, y + 2, f"{max(values, default=0):,.0f}", "dim", 6)
    for line, dots in enumerate(area_graph(values, columns, rows, ascii_only=state.ascii_only)):
        area.put(8, y + line, dots, style)
    said = text.pad(figure[0], 8, ">")
    area.put(area.columns - len(said) - 1, y + rows - 1, said, figure[1])


def _rate(number: float) -> str:
    return f"{number / 1_000:,.1f}k" if number >= 10_000 else f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def times(area: Area, state: State, window: Window, *, with_times: bool) -> None:
    """Percentiles of waiting and running, with bars in proportion to the longest."""
    if window is None:
        area.put(1, 0, "Reading ...", "dim")
        return
    longest = max((window[key][name] or 0.0 for key in ("waiting_seconds", "running_seconds") for name in PERCENTILES), default=0.0)
    columns = max(area.columns - 26, 4)
    y = 0
    for label, key, style in (("waited", "waiting_seconds", "info"), ("ran", "running_seconds", "active")):
        for name in PERCENTILES:
            seconds = window[key][name]
            part = (seconds or 0.0) / longest if longest else 0.0
            area.spans(1, y, [(label.ljust(7) if name == "p50" else " " * 7, "dim"), (f"{name} ", "dim"), (text.pad(text.duration(seconds), 9, ">"), ""),
                              (f"  {bar(part, columns, ascii_only=state.ascii_only)}", style if part else "faint")])  # fmt: skip
            y += 1
        y += 1 if area.lines > 7 else 0
    area.put(1, area.lines - 1 if area.lines > y else y, _span(window), "dim")


def _table_of_times(area: Area, window: Mapping[str, Any]) -> None:
    area.spans(1, 0, [(text.pad(_span(window), 8), "dim"), *((text.pad(name, 9, ">"), "dim") for name in PERCENTILES)])
    for line, (label, key) in enumerate((("waited", "waiting_seconds"), ("ran", "running_seconds")), 1):
        found = window[key]
        area.spans(1, line, [(label.ljust(8), "dim"), *((text.pad(text.duration(found[name]), 9, ">"), "") for name in PERCENTILES)])


def _span(window: Mapping[str, Any]) -> str:
    return f"{window['minutes']} min"


# ---- queues, alerts, functions ----------------------------------------------------------------------------------


def queues(area: Area, state: State, window: Window, *, with_times: bool) -> None:
    """Depth, running of the limit, and the age of the oldest, the deepest first; below them the workers that were seen."""
    found = sorted(state.items(QUEUES), key=lambda queue: (-queue["depth"], -queue["running"], queue["name"]))
    names = max(min(area.columns - 28, 20), 8)
    area.spans(1, 0, [(text.pad("queue", names), "dim"), (text.pad("depth", 7, ">"), "dim"), (text.pad("running", 9, ">"), "dim"), ("  oldest", "dim")])
    room = area.lines - 2
    shown = found[: room if len(found) <= room else room - 1]
    for line, queue in enumerate(shown, 1):
        limit = f"/{queue['max_running']}" if queue.get("max_running") else ""
        held = ("  paused", "warn") if queue["paused"] else (f"  {text.age(queue['oldest_age_seconds'] or 0)}" if queue["depth"] else "", "dim")
        area.spans(1, line, [
            (text.pad(text.fit(text.clean(queue["name"]), names), names), ""),
            (text.pad(text.count(queue["depth"]), 7, ">"), "info" if queue["depth"] else "faint"),
            (text.pad(f"{queue['running']}{limit}", 9, ">"), "active" if queue["running"] else "faint"), held])  # fmt: skip
    if len(shown) < len(found):
        area.put(1, area.lines - 2, f"and {len(found) - len(shown)} more", "dim")
    if found:
        area.spans(1, area.lines - 1, _workers(state, found))


def _workers(state: State, queues: Sequence[Mapping[str, Any]]) -> list[Span]:
    """How many workers all queues have seen, and how long ago the last."""
    seen = {worker["worker"]: worker["seen_at"] for queue in queues for worker in reversed(queue.get("workers_seen") or ())}
    if not seen:
        return [("no worker was seen", "warn" if any(queue["depth"] for queue in queues) else "dim")]
    newest = max(worker["seen_at"] for queue in queues for worker in queue.get("workers_seen") or ())
    return [(f"{text.count(len(seen))} worker{'s' * (len(seen) != 1)} seen", ""), (f", the last {ago(state, newest)}", "dim")]


def alerts(area: Area, state: State, window: Window, *, with_times: bool) -> None:
    """The alerts, and in what is left the functions with their instances. An alert that cannot be read is no reason to stop."""
    found, answer = state.items(ALERTS), state.answer(ALERTS)
    if answer.document is None:
        area.put(1, 0, f"alerts cannot be read: {answer.problem}" if answer.problem else "Reading ...", "warn" if answer.problem else "dim")
    elif not found:
        area.put(1, 0, "no alert", "ok")
    for line, alert in enumerate(found[: area.lines]):
        area.put(1, line, f"{_alert_mark(state)}{words_of(alert)}", style_of(alert))
    y = max(len(found), 1)
    for function in state.items(FUNCTIONS)[: max(area.lines - y, 0)]:
        area.spans(1, y, [(str(function["name"]).ljust(16), "dim"), instances(function)])
        y += 1


def instances(function: Mapping[str, Any]) -> tuple[str, str]:
    """How many instances of a function are up, and the style of saying so; a pod that has not told of its start yet starts."""
    number, pods = len(function.get("instances") or ()), function.get("pods") or 0
    if not number and pods:
        return f"{pods} starting", "warn"
    return (f"{number} up", "ok") if number else ("at zero", "faint")


def _alert_mark(state: State) -> str:
    return "! " if state.ascii_only else "▲ "


# ---- events -----------------------------------------------------------------------------------------------------


def events(area: Area, state: State) -> None:
    area.put(1, 0, "Recent events", "title")
    area.line(0, "-" if state.ascii_only else "─", "faint", x=16)
    stale = state.stale(EVENTS)
    if stale is not None:
        area.right(0, [(f" {text.age(stale)} old ", "bad")], 1)
    about = 36 if area.columns >= 150 else 20 if area.columns >= 110 else 13
    for line, event in enumerate(newest_events(state)[: area.lines - 1], 1):
        name = timeline.short_name(event["type"])
        subject = text.clean(event["subject"].removeprefix("job/"))
        subject = subject[-12:] if about < 36 and event["subject"].startswith("job/") else subject
        area.spans(1, line, [
            (event["time"][11:23] + "  ", "dim"), (text.pad(text.fit(name, 22), 23), STATE_STYLES.get(name.rpartition(".")[2], "")),
            (text.pad(text.fit(text.clean(event.get("jobtype") or ""), 18), 19), ""),
            (text.pad(text.fit(subject, about), about) + "  ", "dim"), (timeline.detail(event), "dim")])  # fmt: skip


def newest_events(state: State) -> list[Mapping[str, Any]]:
    """What was read and what the live stream brought since, newest first."""
    read = state.items(EVENTS)
    newest = int(read[0]["position"]) if read else 0
    return [event for event in reversed(state.live) if int(event["position"]) > newest] + read
