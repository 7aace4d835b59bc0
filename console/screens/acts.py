"""What a person does with jobs, each asked for with its count before it is done. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import text
from console.messages import Act, Acted, Copy
from console.operations import TERMINAL
from console.screens.listing import Row
from console.screens.screen import Outcome
from console.state import Choice, Question, State, sure

VERBS = ("cancel", "retry", "rerun")
ALLOWED: dict[str, Callable[[Row], bool]] = {
    "cancel": lambda job: job["status"] not in TERMINAL,
    "retry": lambda job: job["status"] in ("failed", "cancelled"),
    "rerun": lambda job: job["status"] in TERMINAL,
}
NOT_ALLOWED = {
    "cancel": "has ended already",
    "retry": "has not failed; R runs an ended job again as a new one",
    "rerun": "has not ended, and only an ended job is run again",
}
SHOWN_JOBS = 8


def path(job: Row, action: str) -> str:
    return f"/v1/jobs/{quote(str(job['id']), safe='')}/{action}"


def on_jobs(state: State, command: str, jobs: Sequence[Row]) -> Outcome | None:
    """Cancel, retry or rerun these jobs, or copy the id of the first."""
    if command not in (*VERBS, "copy"):
        return None
    if not jobs:
        return state, ()
    if command == "copy":
        return state.said(f"Copied {jobs[0]['id']}.", "dim", 3.0), (Copy(str(jobs[0]["id"])),)
    able = [job for job in jobs if ALLOWED[command](job)]
    if not able:
        return state.said(f"{'The job' if len(jobs) == 1 else 'Each of these'} {NOT_ALLOWED[command]}.", "warn"), ()
    effects = tuple(Act("POST", path(job, command), {}, about=f"{job['type']} {job['id'][-12:]}", verb=command) for job in able)
    left = len(jobs) - len(able)
    words = f"{command.capitalize()} {_named(able)}?" + (f" {left} of those marked cannot be." if left else "")
    details = tuple(f"{job['id']}  {job['type']}  {job['status']}" for job in able[:SHOWN_JOBS])
    more = (f"and {text.count(len(able) - SHOWN_JOBS)} more",) if len(able) > SHOWN_JOBS else ()
    return replace(state, question=_unmarking(sure(words, effects, (*details, *more)))), ()


def _named(jobs: Sequence[Row]) -> str:
    return f"{jobs[0]['type']} {jobs[0]['id'][-12:]}" if len(jobs) == 1 else f"{text.count(len(jobs))} jobs"


def _unmarking(question: Question) -> Question:
    """A yes leaves nothing marked, so that the next action does not meet the same jobs again."""
    yes, *rest = question.choices
    then = replace(yes, then=lambda state: (state.change(marked=frozenset()), yes.effects))
    return replace(question, choices=(then, *rest))


# ---- all that match ---------------------------------------------------------------------------------------------


def ask_bulk(state: State, query: str) -> Outcome:
    """Asks what to do with every job that a filter matches; the server then counts them before anything is done."""
    keys = {"cancel": ("c",), "retry": ("r",), "rerun": ("R",)}
    choices = tuple(
        Choice(keys[verb], verb, (Act("POST", "/v1/bulk", {"action": verb, "q": query, "dry_run": True}, about=f"{verb} all", asker="jobs"),))
        for verb in VERBS
    )
    words = f"What is to be done with every job that matches {query}?" if query else "What is to be done with every job there is?"
    return replace(state, question=Question(words, (*choices, Choice(("esc",), "nothing")))), ()


def rehearsed(state: State, message: Acted) -> Outcome:
    """The server has counted what an action on all that match would meet: now a person says yes, or not."""
    if message.problem is not None or not isinstance(message.document, Mapping):
        return state.said(f"{message.act.about}: {message.problem}", "bad", 12.0), ()
    found: Mapping[str, Any] = message.document
    verb, query = str(found["action"]), str(found["q"])
    matched, able = int(found["matched"]), int(found["able"])
    if not able:
        which = "No job matches." if not matched else f"Of {text.count(matched)} jobs that match, none can be: each {NOT_ALLOWED[verb]}."
        return state.said(which, "warn", 8.0), ()
    words = f"{verb.capitalize()} {text.count(able)} of {text.count(matched)} jobs that match {query or 'anything'}?"
    act = Act("POST", "/v1/bulk", {"action": verb, "q": query}, about=f"all that match {query}" if query else "every job", verb=verb)
    details = tuple(f"{job['id']}  {job['type']}  {job['status']}" for job in found.get("samples", ())[:SHOWN_JOBS])
    more = (f"and {text.count(able - len(details))} more",) if able > len(details) else ()
    return replace(state, question=_unmarking(sure(words, (act,), (*details, *more)))), ()
