"""The client for ordinary programs."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, Unpack, cast
from urllib.parse import quote

import httpx

from console import environment
from console.api import connection as links
from console.api import reading, schedules, submission, within
from console.api.addresses import base_url
from console.api.documents import AttemptDocument, BulkAction, EventDocument, JobDocument, JobOptions, PageDocument
from console.api.errors import ObservatoryApiError
from console.api.exchange import Answer, Call, Patience, Steps, Unreached, exchange
from console.api.known_job import KnownJob
from console.api.reading import Filter
from console.api.stream import Loss, SseParser, StreamItem, check_stream, item_of
from contracts.errors import Refused

Value = TypeVar("Value")


class JobHandle(KnownJob):
    """A job, and what can be done with it."""

    def __init__(self, client: "Client", document: Mapping[str, Any], *, created: bool = True, deduplicated: bool = False) -> None:
        super().__init__(document, created=created, deduplicated=deduplicated)
        self._client = client

    def refresh(self) -> "JobHandle":
        """Asks the server how the job stands."""
        self.document = self._client.job_document(self.id)
        return self

    def wait(self, timeout: float | None = None) -> "JobHandle":
        """Returns itself once the job ended. Raises WaitTimedOut after `timeout` seconds (None: never)."""
        self.document = self._client._run(reading.ended_job(self.id, timeout, self._client.patience))
        return self

    def cancel(self, reason: str | None = None) -> "JobHandle":
        """Cancels the job, or asks its running attempt to stop. Raises ObservatoryApiError (409) when it has ended."""
        answer = self._client.cancel(self.id, reason)
        self.document["status"] = answer["status"]
        return self

    def retry(self, reason: str | None = None) -> "JobHandle":
        """Gives the failed or cancelled job new attempts. Raises ObservatoryApiError (409) for any other."""
        answer = self._client.retry(self.id, reason)
        self.document["status"] = answer["status"]
        return self

    def rerun(self) -> "JobHandle":
        """A new job made from this ended one."""
        return JobHandle(self._client, self._client.rerun(self.id))

    def events(self) -> list[EventDocument]:
        """Every event of the job, in order."""
        return self._client.job_events(self.id)

    def attempts(self) -> list[AttemptDocument]:
        """Every claim of the job, in order."""
        return self._client.attempts(self.id)

    def log(self, lease_token: int | None = None) -> str:
        """What the handler printed in one claim, by default in the last."""
        return self._client.log(self.id, lease_token)


class Client:
    """Talks to one server. Safe to share between threads; close it, or use it as a context manager.

    `url` is by default OBSERVATORY_URL or http://127.0.0.1:8080, `key` OBSERVATORY_API_KEY; `timeout` bounds each wait for
    bytes in seconds, `patience` how long calls are repeated; `trace` answers the W3C `traceparent` that a job is to carry on (by default the
    variable TRACEPARENT, which a handler's process has). Every method may raise ObservatoryApiError and ServerUnreachable.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, timeout: float = 30.0, patience: Patience | None = None,
        trace: Callable[[], str | None] = environment.traceparent,
    ) -> None:  # fmt: skip
        self.url = base_url(url or environment.server_url())
        self.patience = patience or Patience()
        self._timeout, self._trace = timeout, trace
        self._known: tuple[list[dict[str, Any]], list[str]] | None = None  # tasks and queues, once they were asked for
        self._http = httpx.Client(**links.options(self.url, key or environment.api_key(), timeout))

    @classmethod
    def from_context(cls, name: str | None = None, *, timeout: float = 30.0, patience: Patience | None = None) -> "Client":
        """A client of a named context with its key (console.contexts); without a name of the server that the command line
        would mean. Raises ConfigurationError."""
        from console import contexts

        server = contexts.server(name=name)
        return cls(server.url, server.key, timeout, patience)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ---- submitting ------------------------------------------------------------------------------------------------

    def submit(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        wait: float | None = None,
        connection: Any = None,
        **options: Unpack[JobOptions],
    ) -> JobHandle:
        """Submits a job; `wait` asks the server to answer when it ended, or after so many seconds.

        `connection` is a psycopg connection to the database in which the server keeps its jobs: the job is then part of the
        transaction at hand there, and comes to be with its commit.
        """
        document = submission.request_document(type, payload, cast(dict[str, Any], options))
        if connection is not None:
            return self._submit_within(connection, document, idempotency_key, wait)
        return self.submit_request(document, idempotency_key=idempotency_key, wait=wait)

    def submit_request(
        self, document: Mapping[str, Any], *, idempotency_key: str | None = None, wait: float | None = None
    ) -> JobHandle:
        """As submit, for a whole job request (contracts/schemas/job-request.json)."""
        accepted = self._run(submission.submit(document, idempotency_key, wait, self.patience))
        return JobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    def _submit_within(self, connection: Any, document: dict[str, Any], key: str | None, wait: float | None) -> JobHandle:
        from functions.runtime import admin  # the store's own code, for the few who write to it themselves

        within.check(wait)
        if self._known is None:
            self._known = self.tasks(), [str(queue["name"]) for queue in self.queues()]
        try:
            answer = admin.submit_at_once_within(connection, document, key, *self._known, self._trace())
        except Refused as error:
            raise within.refusal(error) from error
        accepted = within.accepted(answer)
        return JobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    def submit_many(
        self, documents: Iterable[Mapping[str, Any] | ObservatoryApiError], *, earlier: list[str | None] | None = None
    ) -> list[JobHandle | ObservatoryApiError]:
        """Submits job requests (each may carry `idempotency_key`) in batches; for each, in order, its handle or refusal.

        `depends_on` may name `#INDEX`, an earlier request of this call; with `earlier`, a list that several calls share and to
        which the id of each of their requests is added, one of all of them.
        """
        answers = self._run(submission.submit_many(documents, self.patience, earlier))
        return [
            a if isinstance(a, ObservatoryApiError) else JobHandle(self, a.job, created=a.created, deduplicated=a.deduplicated)
            for a in answers
        ]

    def cancel(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        """Cancels a job, or asks its running attempt to stop; `{"id", "status", "url"}`."""
        return self._run(submission.wish(reading.job_path(job_id, "/cancel"), reason, self.patience))

    def retry(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        """Gives a failed or cancelled job new attempts; `{"id", "status", "url"}`."""
        return self._run(submission.wish(reading.job_path(job_id, "/retry"), reason, self.patience))

    def rerun(self, job_id: str) -> dict[str, Any]:
        """Makes a new job from an ended one; the new one's `{"id", "status", "url"}`."""
        return self._run(submission.send("POST", reading.job_path(job_id, "/rerun"), None, self.patience))

    def bulk(self, action: BulkAction, q: str, *, dry_run: bool = False, reason: str | None = None) -> dict[str, Any]:
        """Cancels, retries or reruns every job, replays or discards every dead letter that a query finds: the operation, which
        `bulk_operation` tells of while it goes on; with `dry_run` how many it would be."""
        return cast(dict[str, Any], self.send("POST", "/v1/bulk", submission.bulk_document(action, q, dry_run, reason)))

    def bulk_operation(self, operation_id: str) -> dict[str, Any]:
        """A bulk operation: status, matched, done, outcomes. Raises ObservatoryApiError (404)."""
        return cast(dict[str, Any], self.get(reading.bulk_path(operation_id)))

    def pause_queue(self, name: str, reason: str | None = None) -> dict[str, Any]:
        """Hands out no more jobs of a queue; the queue afterwards."""
        return self._run(submission.wish(reading.queue_path(name, "/pause"), reason, self.patience))

    def resume_queue(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return self._run(submission.wish(reading.queue_path(name, "/resume"), reason, self.patience))

    # ---- reading ---------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobHandle:
        """A job by its id. Raises ObservatoryApiError (404)."""
        return JobHandle(self, self.job_document(job_id))

    def job_document(self, job_id: str) -> JobDocument:
        return self._run(reading.job(job_id, self.patience))

    def jobs(
        self, q: str | None = None, *, state: Filter = None, type: Filter = None, queue: Filter = None, tag: Filter = None, id: Filter = None,
        page_size: int = reading.PAGE,
    ) -> Iterator[JobDocument]:  # fmt: skip
        """Jobs that fit the query `q` and every filter, newest first, read page by page as the iterator goes."""
        cursor: str | None = None
        while True:
            page = self.jobs_page(q=q, state=state, type=type, queue=queue, tag=tag, id=id, limit=page_size, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def jobs_page(self, **query: Any) -> PageDocument:
        """One page of GET /v1/jobs."""
        return self._run(reading.page("/v1/jobs", self.patience, **query))

    def job_events(self, job_id: str) -> list[EventDocument]:
        return self._run(reading.items(reading.job_path(job_id, "/events"), self.patience))

    def attempts(self, job_id: str) -> list[AttemptDocument]:
        return self._run(reading.items(reading.job_path(job_id, "/attempts"), self.patience))

    def graph(self, job_id: str, *, limit: int | None = None) -> dict[str, Any]:
        """The jobs that hang together with one: `{"nodes", "edges", "truncated"}`, parents before their children."""
        return self._run(reading.get(reading.job_path(job_id, "/graph"), self.patience, limit=limit))

    def log(self, job_id: str, lease_token: int | None = None) -> str:
        return self._run(reading.log(job_id, lease_token, self.patience))

    def events(self, **query: Any) -> PageDocument:
        """A page of GET /v1/events, newest first (`type`, `subject`, `limit`, `cursor`)."""
        return self._run(reading.page("/v1/events", self.patience, **query))

    def head(self) -> int:
        """The position of the newest event; 0 when there is none."""
        return self._run(reading.head(self.patience))

    def stats(self) -> dict[str, Any]:
        return cast(dict[str, Any], self.get("/v1/stats"))

    def queues(self) -> list[dict[str, Any]]:
        return self._run(reading.items("/v1/queues", self.patience))

    def tasks(self) -> list[dict[str, Any]]:
        """The catalogue: type, version, queue, description, payload schema ..."""
        return self._run(reading.items("/v1/tasks", self.patience))

    def alerts(self) -> list[dict[str, Any]]:
        """What deserves attention: each alert with its summary, its evidence's address and what to do."""
        return self._run(reading.items("/v1/alerts", self.patience))

    def contracts(self) -> list[dict[str, Any]]:
        """Event types, task types and documents: versions, differences, how many requests were refused."""
        return self._run(reading.items("/v1/contracts", self.patience))

    def contract(self, name: str) -> dict[str, Any]:
        """The JSON Schema of a contract. Raises ObservatoryApiError (404)."""
        return cast(dict[str, Any], self.get(f"/v1/contracts/{quote(name, safe='')}"))

    def refusals(self, type: str | None = None) -> list[dict[str, Any]]:
        """Requests that were refused at the door, by type, reason and minute, newest first, with redacted samples."""
        return list((self.get("/v1/contracts", type=type))["refusals"])

    def check_contract(self, name: str, schema: Mapping[str, Any], last: int | None = None) -> dict[str, Any]:
        """What a proposed schema would refuse of the last documents of a contract: `refused` of `checked`, faults, examples."""
        wish = {"name": name, "schema": dict(schema), **({} if last is None else {"last": last})}
        return cast(dict[str, Any], self.send("POST", "/v1/contracts/check", wish))

    def dead_letters(self, **query: Any) -> PageDocument:
        """A page of the events that no function could handle (`status`, `limit`, `cursor`)."""
        return self._run(reading.page("/v1/dead-letters", self.patience, **query))

    def dead_letter(self, letter_id: str) -> dict[str, Any]:
        return cast(dict[str, Any], self.get(f"/v1/dead-letters/{quote(letter_id, safe='')}"))

    def send(self, method: str, path: str, document: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Any operation of the HTTP surface: the answer's JSON value, None for an empty answer."""
        return self._run(submission.send(method, path, document, self.patience, idempotency_key))

    def replay_dead_letter(self, letter_id: str, *, event: Mapping[str, Any] | None = None, reason: str | None = None) -> dict[str, Any]:
        """Sends a dead letter, or an edited event in its place, to the subscriber that failed; the letter afterwards."""
        wish = {name: value for name, value in (("event", event), ("reason", reason)) if value is not None}
        return cast(dict[str, Any], self.send("POST", f"/v1/dead-letters/{quote(letter_id, safe='')}/replay", wish))

    def discard_dead_letter(self, letter_id: str, reason: str) -> dict[str, Any]:
        return cast(dict[str, Any], self.send("POST", f"/v1/dead-letters/{quote(letter_id, safe='')}/discard", {"reason": reason}))

    # ---- schedules -------------------------------------------------------------------------------------------------

    def schedules(self, page_size: int = reading.PAGE) -> Iterator[dict[str, Any]]:
        """Every schedule by name, read page by page as the iterator goes."""
        cursor: str | None = None
        while True:
            page = self._run(reading.page("/v1/schedules", self.patience, limit=page_size, cursor=cursor))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def schedule(self, name: str) -> dict[str, Any]:
        """One schedule. Raises ObservatoryApiError (404)."""
        return cast(dict[str, Any], self.get(schedules.path(name)))

    def put_schedule(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Makes or changes a schedule (contracts/schemas/schedule-request.json); it, with `outcome` created, updated or unchanged."""
        return cast(dict[str, Any], self.send("PUT", schedules.path(name), dict(request)))

    def run_schedule(self, name: str, *, idempotency_key: str | None = None) -> JobHandle:
        """Submits a schedule's job now."""
        accepted = self._run(schedules.run(name, idempotency_key, self.patience))
        return JobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    def pause_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], self.send("POST", schedules.path(name, "/pause"), submission.reason_document(reason)))

    def resume_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], self.send("POST", schedules.path(name, "/resume"), submission.reason_document(reason)))

    def delete_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], self.send("DELETE", schedules.path(name), submission.reason_document(reason)))

    # ---- anything --------------------------------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> Any:
        """The JSON value at any path of the surface."""
        return self._run(reading.get(path, self.patience, **query))

    def get_text(self, path: str) -> str:
        """The text at any path of the surface."""
        return self._run(reading.text(path, self.patience))

    def probe(self, path: str) -> Answer:
        """The answer of any path as it is. Raises ObservatoryApiError for 400 and more."""
        return self._run(exchange(Call("GET", path), self.patience))

    def stream(
        self, q: str | None = None, *, after: int | None = None, type: Filter = None, queue: Filter = None, job: Filter = None,
        patience_seconds: float | None = None,
    ) -> Iterator[StreamItem]:  # fmt: skip
        """Live events past a position (None: from now on), without gap or repeat over lost connections; with `q` those of jobs
        that fit the query as the event left them.

        Ends only by ServerUnreachable, once no server answered for `patience_seconds` (None: the client's patience).
        """
        parser = SseParser(str(self._run(reading.head(self.patience)) if after is None else after))
        query = reading.query_of({"q": q or None, "type": type, "queue": queue, "job": job})
        loss = Loss(self.url, self.patience.unreachable_seconds if patience_seconds is None else patience_seconds)
        while True:
            reason = "the stream ended"
            try:
                for item in self._stream_once(parser, query):
                    loss.over()
                    if item is not None:
                        yield item
            except httpx.TransportError as error:
                reason = links.reason_of(error)
            time.sleep(loss.pause(reason, parser.retry_seconds))

    def _stream_once(self, parser: SseParser, query: tuple[tuple[str, str], ...]) -> Iterator[StreamItem | None]:
        """One connection's items; None at once when it stands, and for each chunk without any."""
        with self._http.stream("GET", "/v1/stream", **links.stream_request(parser, query)) as response:
            if response.status_code != 200:
                response.read()
                check_stream(links.answer_of(response, self.url))
                return
            yield None
            for chunk in response.iter_raw():
                yield None
                for message in parser.feed(chunk):
                    yield item_of(message)

    # ---- driving ---------------------------------------------------------------------------------------------------

    def _run(self, steps: Steps[Value]) -> Value:
        got: Any = None
        try:
            while True:
                step = steps.send(got)
                if isinstance(step, Call):
                    got = self._send(step)
                else:
                    time.sleep(step.seconds)
                    got = None
        except StopIteration as end:
            return cast(Value, end.value)

    def _send(self, call: Call) -> Answer | Unreached:
        try:
            response = self._http.request(call.method, call.path, **links.request_of(call, self._timeout, self._trace))
        except httpx.TransportError as error:
            return links.unreached(error, self.url)
        return links.answer_of(response, self.url)
