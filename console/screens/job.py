"""One job: its story, attempts, output, payload and result, error, relatives; and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from console import text, timeline
from console.keys import Key
from console.messages import Acted, Copy, Want
from console.requests import curl_of, event_of, lacks_secrets
from console.screens import acts, job_text
from console.screens.jobs import status_of
from console.screens.page import FOLLOWING, Page, Text
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets.canvas import Area
from console.widgets.graphs import bar
from console.widgets.tree import Branch, tree_lines
from contracts.times import to_micros, to_rfc3339

ACTING = (
    Key(("c",), "cancel", "cancel", "Cancel the job; a running one is asked to stop."),
    Key(("r",), "retry", "retry", "Run a failed or cancelled job again, under the same id."),
    Key(("R",), "rerun", "rerun", "Make a new job like this one."),
    Key(("e",), "edit", "edit", "Change the payload or the options, and submit that as a new job."),
    Key(("y",), "copy", "copy curl", "Copy the command that submits this job again."),
    Key(("Y",), "copy-event", "", "Copy the job as a CloudEvent."),
    Key(("i",), "copy-id", "", "Copy the job's id."),
    Key(("p",), "parent", "", "Open the parent, or the first job that this one waits for."),
)
TABS = ("story", "output", "payload", "relatives", "request")
LOGS = 5  # so many of the last attempts show their output


def job_want(job_id: str, rest: str = "", as_text: bool = False) -> Want:
    return Want(f"/v1/jobs/{quote(job_id, safe='')}{rest}", as_text=as_text)


class JobScreen(Page):
    name = "job"
    title = "Job"
    tabs = TABS
    headroom = 2

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (ACTING, *super().keys[1:], FOLLOWING)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        wants = [job_want(view.subject), job_want(view.subject, "/events"), job_want(view.subject, "/attempts")]
        if view.tab == TABS.index("story"):
            wants.append(job_want(view.subject, "/steps"))
        if view.tab == TABS.index("output"):
            wants += [self._log(view, attempt) for attempt in self._attempts(state, view)[-LOGS:]]
        if view.tab == TABS.index("relatives"):
            wants.append(job_want(view.subject, "/graph"))
        return wants

    @staticmethod
    def _log(view: View, attempt: Mapping[str, Any]) -> Want:
        """What an ended attempt printed is read once."""
        want = job_want(view.subject, f"/attempts/{attempt['lease_token']}/log", as_text=True)
        return want if attempt.get("finished_at") is None else replace(want, every=0)

    def _attempts(self, state: State, view: View) -> list[Mapping[str, Any]]:
        return state.items(job_want(view.subject, "/attempts"))

    def _events(self, state: State, view: View) -> list[Mapping[str, Any]]:
        return state.items(job_want(view.subject, "/events"))

    def _job(self, state: State, view: View) -> Mapping[str, Any] | None:
        return state.document(job_want(view.subject))

    # ---- drawing ------------------------------------------------------------------------------------------------

    def head(self, area: Area, state: State, view: View) -> None:
        job = self._job(state, view)
        if job is None:
            problem = state.answer(job_want(view.subject)).problem
            area.put(1, 0, view.subject, "title")
            area.put(1, 1, problem or "Reading ...", "bad" if problem else "dim")
            return
        status, style = status_of(job)
        x = area.spans(1, 0, [(job["type"], "title"), ("  ", ""), (job["id"], "dim"), ("  ", ""), (status, style)])
        fraction = (job.get("progress") or {}).get("fraction")
        if job["status"] == "running" and isinstance(fraction, int | float):
            area.spans(x + 2, 0, [(f"{bar(fraction, 16, ascii_only=state.ascii_only)} ", "active"), (timeline.progress_line(job["progress"]), "")])
        area.put(1, 1, self._sentence(state, view, job), "dim")

    def _sentence(self, state: State, view: View, job: Mapping[str, Any]) -> str:
        spent = timeline.spent(job, self._events(state, view), to_rfc3339(to_micros(state.clock)))
        where = f"{job['queue']}, priority {job['priority']}, attempt {job['attempt']} of {job['attempts_allowed']}"
        return f"{where}; waited {text.duration(spent.waited_seconds)}, ran {text.duration(spent.ran_seconds)}, held back {text.duration(spent.held_seconds)}"

    def text(self, state: State, view: View, columns: int) -> Text:
        job = self._job(state, view)
        if job is None:
            return []
        match TABS[view.tab % len(TABS)]:
            case "story":
                steps = state.items(job_want(view.subject, "/steps"))
                return job_text.story(state, job, self._events(state, view), self._attempts(state, view), steps, columns)
            case "output":
                attempts = self._attempts(state, view)[-LOGS:]
                return job_text.output([(attempt, state.answer(self._log(view, attempt))) for attempt in attempts], columns)
            case "payload":
                return job_text.payload(job, columns)
            case "relatives":
                problem = state.answer(job_want(view.subject, "/graph")).problem
                return [[(problem, "bad")]] if problem else [spans for _, spans in self._relatives(state, view)] or [[("Reading ...", "dim")]]
            case _:
                return job_text.request(state.url, job, columns)

    def _relatives(self, state: State, view: View) -> list[Branch]:
        document = state.document(job_want(view.subject, "/graph"))
        return tree_lines(document, view.subject, state.ascii_only) if document else []

    def settle(self, state: State) -> State:
        """Among the relatives the job itself is selected first."""
        view = state.view
        if TABS[view.tab % len(TABS)] == "relatives" and view.chosen != view.subject and (branches := self._relatives(state, view)):
            line = next((line for line, (job_id, _) in enumerate(branches) if job_id == view.subject), 0)
            state = state.change(chosen=view.subject, cursor=line)
        return super().settle(state)

    def links(self, state: State, view: View, columns: int) -> Mapping[int, View]:
        if TABS[view.tab % len(TABS)] != "relatives":
            return {}
        return {line: View("job", job_id) for line, (job_id, _) in enumerate(self._relatives(state, view)) if job_id}

    # ---- acting -------------------------------------------------------------------------------------------------

    def act(self, state: State, command: str) -> Outcome | None:
        job = self._job(state, state.view)
        if job is None:
            return None
        if command.startswith("copy"):
            copied = {"copy": curl_of(state.url, job), "copy-event": event_of(job), "copy-id": str(job["id"])}[command]
            if command != "copy-id" and lacks_secrets(job):
                return state.said("Copied without its secrets: put them where it says <give ... again>.", "warn", 8.0), (Copy(copied),)
            return state.said("Copied, where the terminal allows it; the tab request shows it, too.", "dim", 4.0), (Copy(copied),)
        if command == "edit":
            return state.opened(View("form", job["type"], source=str(job["id"]))), ()
        if command == "parent":
            parent = job.get("parent_id") or next(iter(job.get("depends_on") or ()), None)
            return (state.opened(View("job", parent)), ()) if parent else (state.said("It has no parent.", "dim", 2.0), ())
        return acts.on_jobs(state, command, [job])

    def acted(self, state: State, message: Acted) -> Outcome:
        return state, ()
