"""Submitting: the request document, keys that make a repeat harmless, and batches that the server takes."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.api.errors import CannotSend, ObservatoryApiError
from console.api.exchange import JSON_HEADERS, Call, Patience, Steps, exchange, json_exchange, json_of, to_json

BATCH_ITEMS = 1_000
BATCH_BYTES = 5_000_000
_FRAME = len(b'{"jobs":[]}')


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the server says of a submission: `created` is False for a repeat, `job` what it told of the job."""

    id: str
    status: str
    created: bool
    deduplicated: bool
    job: dict[str, Any]


def request_document(type: str, payload: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """A job request (contracts/schemas/job-request.json). Options that are None are left out."""
    document = {"type": type, "payload": dict(payload or {})}
    document.update({name: _plain(value) for name, value in options.items() if value is not None})
    return document


def _plain(value: Any) -> Any:
    """Handles as ids, instants as text."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise CannotSend(f"{value} has no time zone; use an aware datetime")
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return getattr(value, "id", value)


def new_key() -> str:
    """An idempotency key of its own for one call."""
    return uuid.uuid4().hex


def submit(document: Mapping[str, Any], key: str | None, wait_seconds: float | None, patience: Patience) -> Steps[Accepted]:
    """One job. A repeat under the same key is the same job, so a lost answer costs nothing."""
    query = () if wait_seconds is None else (("wait", f"{wait_seconds:g}"),)
    headers = {**JSON_HEADERS, "idempotency-key": key or new_key()}
    call = Call("POST", "/v1/jobs", query, to_json(document), headers, hold_seconds=wait_seconds or 0.0)
    answer = yield from exchange(call, patience)
    document = json_of(answer)
    return accepted_of(document, document.get("status", "queued"), answer.status == 202 or wait_seconds is not None)


def accepted_of(answer: Mapping[str, Any], status: str, created: bool) -> Accepted:
    """What an answer to a submission says."""
    deduplicated = bool(answer.get("deduplicated", False))
    return Accepted(answer["id"], status, created and not deduplicated, deduplicated, dict(answer, status=status))


# ---- many -------------------------------------------------------------------------------------------------------


def submit_many(
    documents: Iterable[Mapping[str, Any] | ObservatoryApiError], patience: Patience, earlier: list[str | None] | None = None
) -> Steps[list[Accepted | ObservatoryApiError]]:
    """Many jobs in batches that the server takes; for each request, in order, what became of it.

    `depends_on` may name `#INDEX`, an earlier request of this call, over the bounds of batches too; with `earlier`, the ids of
    the requests before them (None: refused), which this call's are added to as they come, it counts from the first of those.
    A refusal stands in the place of its request, one that is given as well; raises only ServerUnreachable, and
    ObservatoryApiError for 401, 403 and 5xx.
    """
    ids = [] if earlier is None else earlier
    answers: list[Accepted | ObservatoryApiError] = []
    waiting = [each if isinstance(each, ObservatoryApiError) else {"idempotency_key": new_key(), **each} for each in documents]
    while len(answers) < len(waiting):
        batch = next_batch(waiting[len(answers) : len(answers) + BATCH_ITEMS], ids)
        found = [*((yield from _submit_batch(batch, patience)) if batch.bodies else ()), *batch.refused]
        ids += [answer.id if isinstance(answer, Accepted) else None for answer in found]
        answers += found
    return answers


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests as JSON, and the refusal of the request after them when that can never be accepted."""

    bodies: list[bytes]
    refused: list[ObservatoryApiError]


def next_batch(documents: Sequence[dict[str, Any] | ObservatoryApiError], ids: Sequence[str | None]) -> Batch:
    """The longest run of documents that one request may carry; `ids` are those of the requests before them."""
    bodies: list[bytes] = []
    size = _FRAME
    for document in documents[:BATCH_ITEMS]:
        request = document if isinstance(document, ObservatoryApiError) else _resolved_parents(document, ids)
        if isinstance(request, ObservatoryApiError):
            return Batch(bodies, [request])
        body = to_json(request)
        if bodies and size + len(body) + 1 > BATCH_BYTES:
            break
        bodies.append(body)
        size += len(body) + 1
    return Batch(bodies, [])


def _resolved_parents(document: dict[str, Any], ids: Sequence[str | None]) -> dict[str, Any] | ObservatoryApiError:
    """`#INDEX` counts all requests; the server counts within a batch and knows jobs of earlier batches by id."""
    parents = document.get("depends_on")
    if not isinstance(parents, list) or not any(isinstance(p, str) and p.startswith("#") for p in parents):
        return document
    resolved: list[Any] = []
    for parent in parents:
        index = int(parent[1:]) if isinstance(parent, str) and parent[:1] == "#" and parent[1:].isdecimal() else None
        if index is None:
            resolved.append(parent)
        elif index >= len(ids):
            resolved.append(f"#{index - len(ids)}")
        elif (earlier := ids[index]) is not None:
            resolved.append(earlier)
        else:
            return refusal(422, f"it depends on {parent}, which was refused", "/depends_on")
    return {**document, "depends_on": resolved}


def refusal(status: int, detail: str, pointer: str = "") -> ObservatoryApiError:
    """What was refused here, and so never sent."""
    faults = [{"pointer": pointer, "detail": detail}] if pointer else []
    return ObservatoryApiError(status, {"status": status, "title": "Not sent.", "detail": detail, "faults": faults})


def _submit_batch(batch: Batch, patience: Patience) -> Steps[list[Accepted | ObservatoryApiError]]:
    body = b'{"jobs":[' + b",".join(batch.bodies) + b"]}"
    try:
        answer = yield from json_exchange(Call("POST", "/v1/jobs/batch", (), body, JSON_HEADERS), patience)
    except ObservatoryApiError as error:
        if error.status in (413, 422):  # the batch as such: each of its requests shares the refusal
            return [error] * len(batch.bodies)
        raise
    return list(_items(answer["items"]))


def _items(items: Iterable[Mapping[str, Any]]) -> Iterator[Accepted | ObservatoryApiError]:
    for item in items:
        if "problem" in item:
            yield ObservatoryApiError(item["status"], item["problem"])
        else:
            yield accepted_of(item, item.get("job_status", "queued"), item["status"] == 202)


def wish(path: str, reason: str | None, patience: Patience) -> Steps[dict[str, Any]]:
    """What may be asked twice and is then no more than asked once, with a reason for the log."""
    body = None if reason is None else to_json({"reason": reason})
    headers = {} if body is None else JSON_HEADERS
    answer = yield from json_exchange(Call("POST", path, (), body, headers), patience)
    return dict(answer)


def send(method: str, path: str, document: Any, patience: Patience, key: str | None = None) -> Steps[Any]:
    """Any operation that changes something, under this key or one of its own."""
    headers = {**JSON_HEADERS, "idempotency-key": key or new_key()}
    body = None if document is None else to_json(document)
    answer = yield from exchange(Call(method, path, (), body, headers), patience)
    return json_of(answer) if answer.body else None


def bulk_document(action: str, q: str, dry_run: bool, reason: str | None) -> dict[str, Any]:
    return {"action": action, "q": q, **({"dry_run": True} if dry_run else {}), **(reason_document(reason) or {})}


def reason_document(reason: str | None) -> dict[str, str] | None:
    """The body of a wish; none without a reason."""
    return None if reason is None else {"reason": reason}
