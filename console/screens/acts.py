"""What a person does with jobs, each asked for with its count before it is done. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import prompts
from console.screens.listing import Row
from console.screens.screen import Outcome
from console.state import Act, Copy, Question, State

TERMINAL = ("succeeded", "failed", "cancelled")
ALLOWED: dict[str, Callable[[Row], bool]] = {
    "cancel": lambda job: job["status"] not in TERMINAL,
    "retry": lambda job: job["status"] in ("failed", "cancelled"),
    "rerun": lambda job: True,
}
NOT_ALLOWED = {"cancel": "has ended already", "retry": "has not failed; R runs a job again as a new one", "rerun": ""}
PAST = {"cancel": "cancelled", "retry": "queued again", "rerun": "submitted again"}


def path(job: Row, action: str) -> str:
    return f"/v1/jobs/{quote(str(job['id']), safe='')}/{action}"


def on_jobs(state: State, command: str, jobs: Sequence[Row]) -> Outcome | None:
    """Cancel, retry or rerun these jobs, or copy the id of the first."""
    if not jobs:
        return state, ()
    if command == "copy":
        return state.said(f"Copied {jobs[0]['id']}.", "dim", 3.0), (Copy(str(jobs[0]["id"])),)
    if command not in ALLOWED:
        return None
    able = [job for job in jobs if ALLOWED[command](job)]
    if not able:
        return state.said(f"{'The job' if len(jobs) == 1 else 'Each of these'} {NOT_ALLOWED[command]}.", "warn"), ()
    effects = tuple(
        Act("POST", path(job, command), {}, f"{_named(able)} {PAST[command]}", f"{command} {job['type']} {job['id'][-12:]}") for job in able
    )
    left = f" ({len(jobs) - len(able)} of those marked cannot be.)" if len(able) < len(jobs) else ""
    question = Question(f"{command.capitalize()} {_named(able)}?{left}", effects, tuple(f"{job['id']}  {job['type']}" for job in able[:8]))
    return replace(state, question=question), ()


def _named(jobs: Sequence[Row]) -> str:
    return f"{jobs[0]['type']} {jobs[0]['id'][-12:]}" if len(jobs) == 1 else f"{len(jobs)} jobs"


def ask_bulk(state: State, query: str) -> Outcome:
    """Asks what to do with every job that a filter matches."""

    def chosen(state: State, words: str) -> Outcome:
        action = next((name for name in ALLOWED if words and name.startswith(words)), None)
        if action is None:
            return state.said("cancel, retry or rerun; nothing was done.", "warn"), ()
        body: dict[str, Any] = {"action": action, "q": query, "dry_run": True}
        return state, (Act("POST", "/v1/bulk", body, "", f"{action} all that match"),)

    return prompts.ask(state, f"cancel, retry or rerun every job that matches {query or 'anything'}?", chosen), ()
