"""Actions on jobs, followed from the yes to the end of the last job. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.messages import Act, Acted, Effect, Want
from console.state import Operation, State

IDS_A_WANT = 100  # so many ids does one list of jobs take
OUTCOMES = {"done": "done", "illegal-move": "could not be"}
TERMINAL = ("succeeded", "failed", "cancelled")


def begun(state: State, effects: tuple[Effect, ...]) -> tuple[State, tuple[Effect, ...]]:
    """The state with one operation more for those of the effects that act on jobs, which are then numbered by it."""
    acts = [effect for effect in effects if isinstance(effect, Act) and effect.verb]
    if not acts:
        return state, effects
    number = state.counted + 1
    numbered = tuple(replace(effect, number=number) if isinstance(effect, Act) and effect.verb else effect for effect in effects)
    about = acts[0].about if len(acts) == 1 else f"{len(acts)} jobs"
    operation = Operation(number, acts[0].verb, about, len(acts), len(acts))
    return replace(state, operations=(*state.operations, operation), counted=number), numbered


def answered(state: State, message: Acted) -> State:
    """One of its requests was answered: the jobs that it names are followed now."""
    operation = _of(state, message.act.number)
    if operation is None:
        return state
    operation = replace(operation, open=operation.open - 1)
    if message.problem is not None:
        operation = replace(operation, refused=(*operation.refused, message.problem))
    elif isinstance(message.document, Mapping):
        operation = _named(operation, message.document)
    return _kept(state, operation)


def _named(operation: Operation, document: Mapping[str, Any]) -> Operation:
    if "matched" in document:
        return replace(operation, bulk=str(document["id"]), asked=int(document["matched"]))
    return replace(operation, followed=(*operation.followed, str(document["id"]))) if document.get("id") else operation


def wants(state: State) -> tuple[Want, ...]:
    """What is read to follow them."""
    return tuple(want for operation in state.operations for want in _wants(operation))


def _wants(operation: Operation) -> list[Want]:
    if operation.bulk:
        return [Want(f"/v1/bulk/{operation.bulk}", every=0.5)]
    ids = operation.followed if not operation.open else ()
    return [Want("/v1/jobs", (("id", ",".join(ids[at : at + IDS_A_WANT])), ("limit", str(IDS_A_WANT)))) for at in range(0, len(ids), IDS_A_WANT)]


def seen(state: State, want: Want, document: Any) -> State:
    """What was read of the jobs of an operation, or of a bulk operation."""
    for operation in state.operations:
        if want in _wants(operation) and isinstance(document, Mapping):
            asked = dict(want.query).get("id", "").split(",")
            state = _kept(state, _with_bulk(operation, document) if operation.bulk else _with_jobs(operation, asked, document.get("items") or ()))
    return state


def _with_bulk(operation: Operation, document: Mapping[str, Any]) -> Operation:
    ended = {operation.bulk: "finished"} if document.get("status") == "finished" else {}
    return replace(operation, done=int(document.get("done") or 0), outcomes=document.get("outcomes") or {}, ended=ended)


def _with_jobs(operation: Operation, asked: Sequence[str], jobs: Sequence[Mapping[str, Any]]) -> Operation:
    states = {str(job["id"]): str(job["status"]) for job in jobs}
    fresh = {job_id: status for job_id in asked if (status := states.get(job_id, "gone")) in (*TERMINAL, "gone")}
    return replace(operation, ended={**operation.ended, **fresh}) if fresh else operation


def _of(state: State, number: int) -> Operation | None:
    return next((operation for operation in state.operations if operation.number == number), None)


def _kept(state: State, operation: Operation) -> State:
    """The state with the operation as it is now; one that is at its end goes, and is told."""
    if is_over(operation):
        rest = tuple(other for other in state.operations if other.number != operation.number)
        text, style = told(operation)
        return replace(state, operations=rest).said(text, style, 10.0)
    return replace(state, operations=tuple(operation if other.number == operation.number else other for other in state.operations))


def is_over(operation: Operation) -> bool:
    if operation.open:
        return False
    return bool(operation.ended) if operation.bulk else len(operation.ended) >= len(operation.followed)


# ---- in words ---------------------------------------------------------------------------------------------------


def worded(outcome: str) -> str:
    return OUTCOMES.get(outcome, outcome.replace("-", " "))


def progress(operation: Operation) -> str:
    """`cancel 2/3`, for the header."""
    done = operation.done if operation.bulk else len(operation.ended) + len(operation.refused)
    return f"{operation.verb} {done:,}/{operation.asked:,}"


def told(operation: Operation) -> tuple[str, str]:
    """What became of it, and in which style that is said."""
    counts: dict[str, int] = {}
    for status in operation.ended.values():
        counts[status] = counts.get(status, 0) + 1
    if operation.bulk:
        counts = {worded(name): number for name, number in operation.outcomes.items()}
    if operation.refused:
        counts[f"refused: {operation.refused[0]}"] = len(operation.refused)
    clean = not operation.refused and set(operation.outcomes) <= {"done"} and "failed" not in counts
    if operation.asked == 1 and len(counts) == 1:
        return f"{operation.verb} {operation.about}: {next(iter(counts))}", "ok" if clean else "bad"
    words = ", ".join(f"{number:,} {name}" for name, number in counts.items()) or "nothing to do"
    return f"{operation.verb} {operation.about}: {words}", "ok" if clean else "warn"
