"""The next state of the terminal console for what comes from outside: answers, events, time, what was started. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from console import operations
from console.messages import (
    Acted,
    Answer,
    Ground,
    Happened,
    Launched,
    LaunchEnded,
    Received,
    Redraw,
    Refresh,
    Refused,
    Resized,
    Staged,
    Ticked,
    Unreached,
    Want,
)
from console.screens import SCREENS
from console.screens.screen import Outcome
from console.state import Link, Sample, State, View
from console.wants import ALERTS, STATS
from contracts.times import MICROSECONDS, from_rfc3339

LIVE_EVENTS = 500
KEPT_ANSWERS = 60
KEPT_SAMPLES = 300
SPLASH_SECONDS = 0.5  # whoever answers sooner is not kept waiting for a picture
SKEW_SECONDS = 2.0
SAMPLE_SECONDS = 0.4  # two samples are not closer


def ticked(state: State, message: Ticked) -> Outcome:
    note = state.note if state.note is not None and state.note.until > message.now else None
    state = replace(state, now=message.now, ticked=message.now, wall=message.wall, note=note)
    idle = state.view.screen == "dashboard" and state.prompt is None and state.help is None  # whoever went somewhere already stays there
    if idle and state.link.condition == "connecting" and message.now - state.link.since > SPLASH_SECONDS:
        state = replace(state, views=(View("launcher"),))
    return state, ()


def resized(state: State, message: Resized) -> Outcome:
    return replace(state, columns=message.columns, lines=message.lines), (Redraw(),)


def ground(state: State, message: Ground) -> Outcome:
    return replace(state, theme=replace(state.theme, light=message.light)), ()


# ---- answers ----------------------------------------------------------------------------------------------------


def _heard(state: State, at: float) -> State:
    since = state.link.since if state.link.condition == "live" else at
    if state.view.screen == "launcher":
        said = state.launching
        state = replace(state, views=(View("dashboard"),), launching=said and replace(said, done=True))
        if said is not None and said.pid:
            state = state.said(f"Process {said.pid} was started here; it goes on when the console is left (make stop ends it).", "ok", 10.0)
    return replace(state, now=max(state.now, at), link=Link("live", since, at))


def received(state: State, message: Received) -> Outcome:
    state = _heard(state, message.at)
    if message.want == STATS:
        state = _sampled(_named(state, message), message)
    elif message.want == ALERTS:
        state = _clocked(state, message)
    state = replace(state, data=_kept(state, message.want, Answer(message.document, message.at)))
    return operations.seen(state, message.want, message.document), ()


def _named(state: State, message: Received) -> State:
    """What the deployment calls itself, where nobody gave it a name here."""
    name = message.document.get("name") if isinstance(message.document, Mapping) else None
    return replace(state, name=str(name)) if name and not state.name else state


def _clocked(state: State, message: Received) -> State:
    """How far the server's clock is ahead. The answer's way is not known, so little is taken for nothing."""
    as_of = message.document.get("as_of") if isinstance(message.document, Mapping) else None
    if not isinstance(as_of, str) or not state.wall:
        return state
    skew = from_rfc3339(as_of) / MICROSECONDS - (state.wall + max(message.at - state.ticked, 0.0))
    return replace(state, skew=skew if abs(skew) > SKEW_SECONDS else 0.0)


def _sampled(state: State, message: Received) -> State:
    totals = message.document.get("totals") if isinstance(message.document, Mapping) else None
    if not isinstance(totals, Mapping) or (state.samples and message.at - state.samples[-1].at < SAMPLE_SECONDS):
        return state
    failed = int(totals.get("failed") or 0)
    sample = Sample(message.at, int(totals.get("succeeded") or 0) + failed + int(totals.get("cancelled") or 0), failed)
    return replace(state, samples=(*state.samples, sample)[-KEPT_SAMPLES:])


def refused(state: State, message: Refused) -> Outcome:
    if message.status:
        state = _heard(state, message.at)
    answer = replace(state.answer(message.want), problem=message.text, status=message.status)
    return replace(state, data=_kept(state, message.want, answer)), ()


def _kept(state: State, want: Want, answer: Answer) -> dict[Want, Answer]:
    """The answers with this one; the oldest of those that no screen wants go when there are many."""
    data = {**state.data, want: answer}
    if len(data) > KEPT_ANSWERS:
        wanted = {w for view in state.views for w in SCREENS[view.screen].wants(state, view)}
        spare = sorted((w for w in data if w not in wanted and w != ALERTS), key=lambda w: data[w].at)
        for old in spare[: len(data) - KEPT_ANSWERS]:
            del data[old]
    return data


def unreached(state: State, message: Unreached) -> Outcome:
    if not state.link.heard and state.view.screen != "launcher":
        state = replace(state, views=(View("launcher"),), prompt=None, question=None, help=None)
    since = state.link.since if state.link.condition == "away" else message.at
    link = Link("away", since, state.link.heard, message.reason, message.tries, message.at + message.pause)
    return replace(state, link=link, now=max(state.now, message.at)), ()


def happened(state: State, message: Happened) -> Outcome:
    state = _heard(state, message.at)
    return replace(state, live=(*state.live, *message.events)[-LIVE_EVENTS:]), ()


# ---- what was started -------------------------------------------------------------------------------------------


def launched(state: State, message: Launched) -> Outcome:
    if state.launching is None:
        return state, ()
    return replace(state, launching=replace(state.launching, pid=message.pid, log=message.log)), (Refresh(),)


def staged(state: State, message: Staged) -> Outcome:
    """A stage that is told again takes the place of what was told of it before."""
    if state.launching is None:
        return state, ()
    known = state.launching.stages
    at = next((index for index, stage in enumerate(known) if stage.stage == message.stage), len(known))
    return replace(state, launching=replace(state.launching, stages=(*known[:at], message, *known[at + 1 :]))), ()


def launch_ended(state: State, message: LaunchEnded) -> Outcome:
    if state.launching is None:
        return state, ()
    if state.launching.what == "cluster" and message.code == 0:
        return replace(state, launching=replace(state.launching, pid=0, done=True)), (Refresh(),)
    if state.view.screen != "launcher":  # it was up, and ended: the link says so by itself
        return replace(state, launching=None), ()
    return replace(state, launching=replace(state.launching, pid=0, problem=message.text or f"exit code {message.code}")), ()


# ---- what was done ----------------------------------------------------------------------------------------------


def acted(state: State, message: Acted) -> Outcome:
    if message.act.verb:
        return operations.answered(state, message), (Refresh(),)
    if message.act.asker:
        asker: Any = SCREENS[message.act.asker]
        return asker.acted(state, message)
    if message.problem is not None:
        faults = "; ".join(f"{pointer or 'it'} {detail}" for pointer, detail in message.faults)
        return state.said(f"{message.act.about}: {message.problem}" + (f" ({faults})" if faults else ""), "bad", 12.0), (Refresh(),)
    return state.said(f"{message.act.about} {message.act.said}".strip()), (Refresh(),)
