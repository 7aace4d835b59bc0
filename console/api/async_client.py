"""The client for asyncio; method for method as in sync_client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeVar, Unpack, cast
from urllib.parse import quote

import httpx

from console import environment
from console.api import connection as links
from console.api import reading, schedules, submission, within
from console.api.addresses import base_url
from console.api.documents import AttemptDocument, BulkAction, EventDocument, JobDocument, JobOptions, PageDocument
from console.api.errors import ObservatoryApiError
from console.api.exchange import Answer, Call, Patience, Steps, Unreached
from console.api.known_job import KnownJob
from console.api.reading import Filter
from console.api.stream import Loss, SseParser, StreamItem, check_stream, item_of
from contracts.errors import Refused

Value = TypeVar("Value")


class AsyncJobHandle(KnownJob):
    """As JobHandle, for asyncio."""

    def __init__(self, client: "AsyncClient", document: Mapping[str, Any], *, created: bool = True, deduplicated: bool = False) -> None:
        super().__init__(document, created=created, deduplicated=deduplicated)
        self._client = client

    async def refresh(self) -> "AsyncJobHandle":
        self.document = await self._client.job_document(self.id)
        return self

    async def wait(self, timeout: float | None = None) -> "AsyncJobHandle":
        self.document = await self._client._run(reading.ended_job(self.id, timeout, self._client.patience))
        return self

    async def cancel(self, reason: str | None = None) -> "AsyncJobHandle":
        answer = await self._client.cancel(self.id, reason)
        self.document["status"] = answer["status"]
        return self

    async def retry(self, reason: str | None = None) -> "AsyncJobHandle":
        answer = await self._client.retry(self.id, reason)
        self.document["status"] = answer["status"]
        return self

    async def rerun(self) -> "AsyncJobHandle":
        return AsyncJobHandle(self._client, await self._client.rerun(self.id))

    async def events(self) -> list[EventDocument]:
        return await self._client.job_events(self.id)

    async def attempts(self) -> list[AttemptDocument]:
        return await self._client.attempts(self.id)

    async def log(self, lease_token: int | None = None) -> str:
        return await self._client.log(self.id, lease_token)


class AsyncClient:
    """As Client, for asyncio: every call is awaited, `jobs()` and `stream()` are async iterators."""

    def __init__(
        self, url: str | None = None, key: str | None = None, timeout: float = 30.0, patience: Patience | None = None,
        trace: Callable[[], str | None] = environment.traceparent,
    ) -> None:  # fmt: skip
        self.url = base_url(url or environment.server_url())
        self.patience = patience or Patience()
        self._timeout, self._trace = timeout, trace
        self._known: tuple[list[dict[str, Any]], list[str]] | None = None
        self._http = httpx.AsyncClient(**links.options(self.url, key or environment.api_key(), timeout))

    @classmethod
    def from_context(cls, name: str | None = None, *, timeout: float = 30.0, patience: Patience | None = None) -> "AsyncClient":
        """A client of a named context with its key (console.contexts); without a name of the server that the command line
        would mean. Raises ConfigurationError."""
        from console import contexts

        server = contexts.server(name=name)
        return cls(server.url, server.key, timeout, patience)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        wait: float | None = None,
        connection: Any = None,
        **options: Unpack[JobOptions],
    ) -> AsyncJobHandle:
        document = submission.request_document(type, payload, cast(dict[str, Any], options))
        if connection is not None:
            return await self._submit_within(connection, document, idempotency_key, wait)
        accepted = await self._run(submission.submit(document, idempotency_key, wait, self.patience))
        return AsyncJobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    async def _submit_within(self, connection: Any, document: dict[str, Any], key: str | None, wait: float | None) -> AsyncJobHandle:
        from functions.runtime import admin

        within.check(wait)
        if self._known is None:
            self._known = await self.tasks(), [str(queue["name"]) for queue in await self.queues()]
        try:
            answer = await admin.submit_within(connection, document, key, *self._known, self._trace())
        except Refused as error:
            raise within.refusal(error) from error
        accepted = within.accepted(answer)
        return AsyncJobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    async def submit_many(
        self, documents: Iterable[Mapping[str, Any] | ObservatoryApiError], *, earlier: list[str | None] | None = None
    ) -> list[AsyncJobHandle | ObservatoryApiError]:
        answers = await self._run(submission.submit_many(documents, self.patience, earlier))
        return [
            a if isinstance(a, ObservatoryApiError) else AsyncJobHandle(self, a.job, created=a.created, deduplicated=a.deduplicated)
            for a in answers
        ]

    async def cancel(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        return await self._run(submission.wish(reading.job_path(job_id, "/cancel"), reason, self.patience))

    async def retry(self, job_id: str, reason: str | None = None) -> dict[str, Any]:
        """Gives a failed or cancelled job new attempts; `{"id", "status", "url"}`."""
        return await self._run(submission.wish(reading.job_path(job_id, "/retry"), reason, self.patience))

    async def rerun(self, job_id: str) -> dict[str, Any]:
        """Makes a new job from an ended one; the new one's `{"id", "status", "url"}`."""
        return await self._run(submission.send("POST", reading.job_path(job_id, "/rerun"), None, self.patience))

    async def bulk(self, action: BulkAction, q: str, *, dry_run: bool = False, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("POST", "/v1/bulk", submission.bulk_document(action, q, dry_run, reason)))

    async def bulk_operation(self, operation_id: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self.get(reading.bulk_path(operation_id)))

    async def pause_queue(self, name: str, reason: str | None = None) -> dict[str, Any]:
        """Hands out no more jobs of a queue; the queue afterwards."""
        return await self._run(submission.wish(reading.queue_path(name, "/pause"), reason, self.patience))

    async def resume_queue(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return await self._run(submission.wish(reading.queue_path(name, "/resume"), reason, self.patience))

    async def job(self, job_id: str) -> AsyncJobHandle:
        return AsyncJobHandle(self, await self.job_document(job_id))

    async def job_document(self, job_id: str) -> JobDocument:
        return await self._run(reading.job(job_id, self.patience))

    async def jobs(
        self, q: str | None = None, *, state: Filter = None, type: Filter = None, queue: Filter = None, tag: Filter = None, id: Filter = None,
        page_size: int = reading.PAGE,
    ) -> AsyncIterator[JobDocument]:  # fmt: skip
        cursor: str | None = None
        while True:
            page = await self.jobs_page(q=q, state=state, type=type, queue=queue, tag=tag, id=id, limit=page_size, cursor=cursor)
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def jobs_page(self, **query: Any) -> PageDocument:
        return await self._run(reading.page("/v1/jobs", self.patience, **query))

    async def job_events(self, job_id: str) -> list[EventDocument]:
        return await self._run(reading.items(reading.job_path(job_id, "/events"), self.patience))

    async def attempts(self, job_id: str) -> list[AttemptDocument]:
        return await self._run(reading.items(reading.job_path(job_id, "/attempts"), self.patience))

    async def graph(self, job_id: str, *, limit: int | None = None) -> dict[str, Any]:
        """The jobs that hang together with one: `{"nodes", "edges", "truncated"}`, parents before their children."""
        return await self._run(reading.get(reading.job_path(job_id, "/graph"), self.patience, limit=limit))

    async def log(self, job_id: str, lease_token: int | None = None) -> str:
        return await self._run(reading.log(job_id, lease_token, self.patience))

    async def events(self, **query: Any) -> PageDocument:
        return await self._run(reading.page("/v1/events", self.patience, **query))

    async def head(self) -> int:
        return await self._run(reading.head(self.patience))

    async def stats(self) -> dict[str, Any]:
        return cast(dict[str, Any], await self.get("/v1/stats"))

    async def queues(self) -> list[dict[str, Any]]:
        return await self._run(reading.items("/v1/queues", self.patience))

    async def tasks(self) -> list[dict[str, Any]]:
        return await self._run(reading.items("/v1/tasks", self.patience))

    async def alerts(self) -> list[dict[str, Any]]:
        """What deserves attention: each alert with its summary, its evidence's address and what to do."""
        return await self._run(reading.items("/v1/alerts", self.patience))

    async def contracts(self) -> list[dict[str, Any]]:
        """Event types, task types and documents: versions, differences, how many requests were refused."""
        return await self._run(reading.items("/v1/contracts", self.patience))

    async def contract(self, name: str) -> dict[str, Any]:
        """The JSON Schema of a contract. Raises ObservatoryApiError (404)."""
        return cast(dict[str, Any], await self.get(f"/v1/contracts/{quote(name, safe='')}"))

    async def refusals(self, type: str | None = None) -> list[dict[str, Any]]:
        """Requests that were refused at the door, by type, reason and minute, newest first, with redacted samples."""
        return list((await self.get("/v1/contracts", type=type))["refusals"])

    async def check_contract(self, name: str, schema: Mapping[str, Any], last: int | None = None) -> dict[str, Any]:
        """What a proposed schema would refuse of the last documents of a contract: `refused` of `checked`, faults, examples."""
        wish = {"name": name, "schema": dict(schema), **({} if last is None else {"last": last})}
        return cast(dict[str, Any], await self.send("POST", "/v1/contracts/check", wish))

    async def dead_letters(self, **query: Any) -> PageDocument:
        return await self._run(reading.page("/v1/dead-letters", self.patience, **query))

    async def dead_letter(self, letter_id: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self.get(f"/v1/dead-letters/{quote(letter_id, safe='')}"))

    async def replay_dead_letter(
        self, letter_id: str, *, event: Mapping[str, Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        wish = {name: value for name, value in (("event", event), ("reason", reason)) if value is not None}
        return cast(dict[str, Any], await self.send("POST", f"/v1/dead-letters/{quote(letter_id, safe='')}/replay", wish))

    async def discard_dead_letter(self, letter_id: str, reason: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("POST", f"/v1/dead-letters/{quote(letter_id, safe='')}/discard", {"reason": reason}))

    async def schedules(self, page_size: int = reading.PAGE) -> AsyncIterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = await self._run(reading.page("/v1/schedules", self.patience, limit=page_size, cursor=cursor))
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def schedule(self, name: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self.get(schedules.path(name)))

    async def put_schedule(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("PUT", schedules.path(name), dict(request)))

    async def run_schedule(self, name: str, *, idempotency_key: str | None = None) -> AsyncJobHandle:
        accepted = await self._run(schedules.run(name, idempotency_key, self.patience))
        return AsyncJobHandle(self, accepted.job, created=accepted.created, deduplicated=accepted.deduplicated)

    async def pause_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("POST", schedules.path(name, "/pause"), submission.reason_document(reason)))

    async def resume_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("POST", schedules.path(name, "/resume"), submission.reason_document(reason)))

    async def delete_schedule(self, name: str, reason: str | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], await self.send("DELETE", schedules.path(name), submission.reason_document(reason)))

    async def get(self, path: str, **query: Any) -> Any:
        return await self._run(reading.get(path, self.patience, **query))

    async def get_text(self, path: str) -> str:
        return await self._run(reading.text(path, self.patience))

    async def send(self, method: str, path: str, document: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Any operation of the HTTP surface: the answer's JSON value, None for an empty answer."""
        return await self._run(submission.send(method, path, document, self.patience, idempotency_key))

    async def stream(
        self, q: str | None = None, *, after: int | None = None, type: Filter = None, queue: Filter = None, job: Filter = None,
        patience_seconds: float | None = None,
    ) -> AsyncIterator[StreamItem]:  # fmt: skip
        parser = SseParser(str(await self._run(reading.head(self.patience)) if after is None else after))
        query = reading.query_of({"q": q or None, "type": type, "queue": queue, "job": job})
        loss = Loss(self.url, self.patience.unreachable_seconds if patience_seconds is None else patience_seconds)
        while True:
            reason = "the stream ended"
            try:
                async for item in self._stream_once(parser, query):
                    loss.over()
                    if item is not None:
                        yield item
            except httpx.TransportError as error:
                reason = links.reason_of(error)
            await asyncio.sleep(loss.pause(reason, parser.retry_seconds))

    async def _stream_once(self, parser: SseParser, query: tuple[tuple[str, str], ...]) -> AsyncIterator[StreamItem | None]:
        async with self._http.stream("GET", "/v1/stream", **links.stream_request(parser, query)) as response:
            if response.status_code != 200:
                await response.aread()
                check_stream(links.answer_of(response, self.url))
                return
            yield None
            async for chunk in response.aiter_raw():
                yield None
                for message in parser.feed(chunk):
                    yield item_of(message)

    async def _run(self, steps: Steps[Value]) -> Value:
        got: Any = None
        try:
            while True:
                step = steps.send(got)
                if isinstance(step, Call):
                    got = await self._send(step)
                else:
                    await asyncio.sleep(step.seconds)
                    got = None
        except StopIteration as end:
            return cast(Value, end.value)

    async def _send(self, call: Call) -> Answer | Unreached:
        try:
            response = await self._http.request(call.method, call.path, **links.request_of(call, self._timeout, self._trace))
        except httpx.TransportError as error:
            return links.unreached(error, self.url)
        return links.answer_of(response, self.url)
