"""One job: its story, attempts, output, payload and result, error, relatives."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from console import text, timeline
from console.keys import Key
from console.screens import acts
from console.screens.jobs import age_of, status_of
from console.screens.page import Page, Text, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import Copy, State, View, Want
from console.theme import STATE_STYLES
from console.widgets.canvas import Area
from contracts.times import to_rfc3339

ACTING = (
    Key(("c",), "cancel", "cancel", "Cancel the job; a running one is asked to stop."),
    Key(("r",), "retry", "retry", "Run a failed or cancelled job again, under the same id."),
    Key(("R",), "rerun", "rerun", "Make a new job like this one."),
    Key(("y",), "copy", "copy curl", "Copy the command that submits this job again."),
    Key(("Y",), "copy-event", "", "Copy the job as a CloudEvent."),
    Key(("i",), "copy-id", "", "Copy the job's id."),
    Key(("p",), "parent", "", "Open the parent, or the first job that this one waits for."),
)


def job_want(job_id: str, rest: str = "", as_text: bool = False) -> Want:
    return Want(f"/v1/jobs/{quote(job_id, safe='')}{rest}", as_text=as_text)


class JobScreen(Page):
    name = "job"
    title = "Job"
    extra = ACTING
    tabs = ("story", "output", "payload", "graph")
    headroom = 2

    def wants(self, state: State, view: View) -> Sequence[Want]:
        wants = [job_want(view.subject), job_want(view.subject, "/events"), job_want(view.subject, "/attempts")]
        if view.tab == 1:
            wants += [job_want(view.subject, f"/attempts/{a['lease_token']}/log", as_text=True) for a in self._attempts(state, view)[-5:]]
        if view.tab == 3:
            wants.append(job_want(view.subject, "/graph"))
        return wants

    def _attempts(self, state: State, view: View) -> list[Mapping[str, Any]]:
        return state.items(job_want(view.subject, "/attempts"))

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
        area.spans(1, 0, [(job["type"], "title"), ("  ", ""), (job["id"], "dim"), ("  ", ""), (status, style)])
        area.put(1, 1, self._sentence(state, view, job), "dim")

    def _sentence(self, state: State, view: View, job: Mapping[str, Any]) -> str:
        spent = timeline.spent(job, state.items(job_want(view.subject, "/events")), to_rfc3339(round(state.wall * 1e6)))
        where = f"{job['queue']}, priority {job['priority']}, attempt {job['attempt']} of {job['attempts_allowed']}"
        return f"{where}; waited {text.duration(spent.waited_seconds)}, ran {text.duration(spent.ran_seconds)}, held back {text.duration(spent.held_seconds)}"

    def text(self, state: State, view: View, columns: int) -> Text:
        job = self._job(state, view)
        if job is None:
            return []
        return (self._story, self._output, self._payload, self._graph)[view.tab % 4](state, view, job, columns)

    def _story(self, state: State, view: View, job: Mapping[str, Any], columns: int) -> Text:
        lines: Text = []
        if job.get("why_waiting"):
            lines += [[("held by  ", "dim"), (str(job["why_waiting"]), "warn")]]
        lines += self._error(job, columns)
        lines += heading("timeline") if lines else [[("timeline", "heading")]]
        lines += [self._event(entry) for entry in timeline.entries(state.items(job_want(view.subject, "/events")))]
        if attempts := self._attempts(state, view):
            lines += heading("attempts") + [self._attempt(attempt) for attempt in attempts]
        return lines + heading("facts") + facts(self._facts(state, job), columns)

    @staticmethod
    def _error(job: Mapping[str, Any], columns: int) -> Text:
        error = job.get("error")
        if not isinstance(error, Mapping):
            return []
        lines: Text = [[("error  ", "dim"), (f"{error.get('type')}: ", "bad"), (str(error.get("message")), "bad")]]
        if error.get("traceback"):
            lines += wrapped(text.clean(str(error["traceback"]).rstrip(), lines=True), columns, "dim")
        return lines

    @staticmethod
    def _event(entry: timeline.Entry) -> list[tuple[str, str]]:
        waited, ran = (f"{word} {text.duration(s)}" if s is not None else "" for word, s in (("waited", entry.waited_seconds), ("ran", entry.ran_seconds)))
        return [
            (text.pad(f"+{text.duration(entry.offset_seconds)}", 10, ">") + "  ", "faint"),
            (text.pad(entry.name, 16), STATE_STYLES.get(entry.name, "")), (text.pad(f"{waited}{ran}", 15), "accent"), (" " + entry.detail, "dim"),
        ]  # fmt: skip

    @staticmethod
    def _attempt(attempt: Mapping[str, Any]) -> list[tuple[str, str]]:
        outcome = str(attempt["outcome"])
        style = {"succeeded": "ok", "failed": "bad", "running": "active"}.get(outcome, "warn")
        error = attempt.get("error") or {}
        return [
            (f"attempt {attempt['attempt']}".ljust(12), ""), (outcome.ljust(13), style), (f"lease {attempt['lease_token']}  {attempt['worker']}  ", "dim"),
            (text.short(error.get("message"))[:200] if error else "", "bad"),
        ]  # fmt: skip

    @staticmethod
    def _facts(state: State, job: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        def at(name: str) -> str:
            return f"{job[name][:19].replace('T', ' ')} ({age_of(state, job[name])} ago)" if job.get(name) else ""

        due = job["run_at"][:19].replace("T", " ") if job.get("run_at") and not job.get("started_at") else ""
        return [
            ("accepted", f"{at('created_at')} by {job['actor']}", ""), ("started", at("started_at"), ""), ("ended", at("finished_at"), ""),
            ("due", due, "warn"), ("expires", (job.get("expires_at") or "")[:19].replace("T", " "), "warn"),
            ("timeout", text.duration(job["timeout_seconds"]), ""), ("worker", job.get("worker") or "", ""),
            ("tags", " ".join(job.get("tags") or ()), "accent"), ("unique key", job.get("unique_key") or "", ""),
            ("schedule", job.get("schedule") or "", "accent"), ("parent", job.get("parent_id") or "", "accent"),
            ("depends on", " ".join(job.get("depends_on") or ()), "accent"), ("trace", job.get("traceparent") or "", ""),
            ("cause", f"{job.get('source')} {job.get('source_id')}" if job.get("source_id") else "", ""),
        ]  # fmt: skip

    def _output(self, state: State, view: View, job: Mapping[str, Any], columns: int) -> Text:
        lines: Text = []
        for attempt in self._attempts(state, view)[-5:]:
            said = state.document(job_want(view.subject, f"/attempts/{attempt['lease_token']}/log", as_text=True))
            lines += [[(f"attempt {attempt['attempt']}", "heading"), (f"  {attempt['outcome']}", "dim")]]
            lines += wrapped(text.clean(said.rstrip("\n"), lines=True), columns) if said else [[("nothing was printed", "dim")]]
            lines.append([])
        return lines or [[("Not started yet.", "dim")]]

    def _payload(self, state: State, view: View, job: Mapping[str, Any], columns: int) -> Text:
        lines = [[("payload", "heading")], *wrapped(text.pretty(job.get("payload")), columns)]
        if job.get("result") is not None:
            lines += heading("result") + wrapped(text.pretty(job["result"]), columns, "ok")
        if job.get("progress"):
            lines += heading("progress") + wrapped(text.pretty(job["progress"]), columns)
        return lines

    def _graph(self, state: State, view: View, job: Mapping[str, Any], columns: int) -> Text:
        from console.widgets.tree import tree_lines

        answer = state.answer(job_want(view.subject, "/graph"))
        if answer.problem:
            return [[(answer.problem, "bad")]]
        return tree_lines(answer.document, view.subject, state.ascii_only) if answer.document else [[("Reading ...", "dim")]]

    # ---- acting -------------------------------------------------------------------------------------------------

    def act(self, state: State, command: str) -> Outcome | None:
        job = self._job(state, state.view)
        if job is None:
            return None
        copies = {"copy": curl_of(state.url, job), "copy-event": event_of(job), "copy-id": str(job["id"])}
        if command in copies:
            return state.said("Copied to the clipboard, where the terminal allows it.", "dim", 3.0), (Copy(copies[command]),)
        if command == "parent":
            parent = job.get("parent_id") or next(iter(job.get("depends_on") or ()), None)
            return (state.opened(View("job", parent)), ()) if parent else (state.said("It has no parent.", "dim", 2.0), ())
        return acts.on_jobs(state, command, [job])


def request_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job request that would make such a job again."""
    request = {name: job[name] for name in ("type", "payload", "queue", "priority")}
    return request | ({"tags": job["tags"]} if job.get("tags") else {})


def curl_of(url: str, job: Mapping[str, Any]) -> str:
    """A command for a POSIX shell."""
    body = json.dumps(request_of(job), ensure_ascii=False).replace("'", "'\\''")
    return f"curl -s '{url}/v1/jobs' -H 'Content-Type: application/json' -d '{body}'"


def event_of(job: Mapping[str, Any]) -> str:
    """The submission as a CloudEvent in JSON format."""
    return json.dumps({"specversion": "1.0", "id": f"again-{job['id']}", "source": "console", "type": "dev.observatory.job.requested.v1",
                       "datacontenttype": "application/json", "data": request_of(job)}, ensure_ascii=False)  # fmt: skip
