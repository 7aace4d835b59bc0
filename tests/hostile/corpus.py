"""Hostile requests as data: a name, how it is sent, and the status it must get."""

import json
from dataclasses import dataclass, field
from typing import Any

JSON = {"Content-Type": "application/json"}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}
REQUESTED = "dev.observatory.job.requested.v1"
NOOP = {"type": "demo.noop", "payload": {}}


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    method: str = "POST"
    path: str = "/v1/jobs"
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    body: bytes | None = None


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def event(**changes: Any) -> dict[str, Any]:
    whole = {"specversion": "1.0", "id": "hostile-1", "source": "/hostile", "type": REQUESTED, "data": NOOP, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def ce(**changes: str | None) -> dict[str, str]:
    headers = {"ce-specversion": "1.0", "ce-id": "hostile-1", "ce-source": "/hostile", "ce-type": REQUESTED, "Content-Type": "application/json",
               **{f"ce-{name}": value for name, value in changes.items()}}  # fmt: skip
    return {name: value for name, value in headers.items() if value is not None}


MALFORMED = {
    "empty": b"", "a space": b" ", "truncated": b'{"type": "demo.noop", "payl', "two documents": b'{"a": 1} {"b": 2}', "no JSON": b"type=demo.noop",
    "single quotes": b"{'type': 'demo.noop'}", "a trailing comma": b'{"type": "demo.noop",}', "not UTF-8": b'{"type": "demo.noop", "payload": {"a": "\xff\xfe"}}',
    "a byte order mark": b"\xef\xbb\xbf" + body(NOOP), "UTF-16": json.dumps(NOOP).encode("utf-16"), "NaN": b'{"type": "demo.noop", "payload": {"a": NaN}}',
    "Infinity": b'{"type": "demo.noop", "payload": {"a": -Infinity}}', "1e999": b'{"type": "demo.noop", "payload": {"a": 1e999}}',
    "a huge integer": b'{"type": "demo.noop", "payload": {"a": 123456789012345678901234567890}}',
    "duplicate keys": b'{"type": "demo.noop", "type": "demo.fail", "payload": {}}', "a lone surrogate": b'{"type": "demo.noop", "payload": {"a": "\\ud800"}}',
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000, "an object nested 5,000 deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a comment": b'{"type": "demo.noop" /* hm */}', "a NUL": b'{"type": "demo.noop"\x00}', "a control character in a string": b'{"type": "demo\nnoop"}',
}  # fmt: skip

BROKEN = {
    "a list": [], "a text": "demo.noop", "null": None, "a number": 7, "an empty object": {}, "no type": {"payload": {}}, "a number as type": {**NOOP, "type": 7},
    "an unknown type": {**NOOP, "type": "no.such"}, "a type with a path": {**NOOP, "type": "../../etc/passwd"}, "a very long type": {**NOOP, "type": "a." + "b" * 5_000},
    "an unknown field": {**NOOP, "colour": "red"}, "an unknown payload field": {"type": "demo.noop", "payload": {"odd": 1}},
    "a payload that is a list": {**NOOP, "payload": []}, "an unknown queue": {**NOOP, "queue": "no-such"}, "a queue with odd letters": {**NOOP, "queue": "A B\u0000"},
    "priority 10": {**NOOP, "priority": 10}, "priority as text": {**NOOP, "priority": "9"}, "priority 1.5": {**NOOP, "priority": 1.5}, "priority true": {**NOOP, "priority": True},
    "a negative delay": {**NOOP, "delay_seconds": -1}, "delay and run_at": {**NOOP, "delay_seconds": 1, "run_at": "2030-01-01T00:00:00Z"},
    "run_at without a zone": {**NOOP, "run_at": "2030-01-01T00:00:00"}, "run_at in words": {**NOOP, "run_at": "tomorrow"}, "the 30th of February": {**NOOP, "run_at": "2030-02-30T00:00:00Z"},
    "no attempts": {**NOOP, "max_attempts": 0}, "a zero timeout": {**NOOP, "timeout_seconds": 0}, "an endless timeout": {**NOOP, "timeout_seconds": 10**9},
    "tags that are no list": {**NOOP, "tags": "a"}, "100 tags": {**NOOP, "tags": [f"t{n}" for n in range(100)]}, "an empty tag": {**NOOP, "tags": [""]},
    "an unknown parent": {**NOOP, "parent_id": "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"}, "a parent that is no id": {**NOOP, "parent_id": "x"},
    "an unknown dependency": {**NOOP, "depends_on": ["01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"]}, "a dependency on an item outside a batch": {**NOOP, "depends_on": ["#0"]},
    "an unknown wish about parents": {**NOOP, "on_parent_failure": "explode"}, "a unique_key of 10,000": {**NOOP, "unique_key": "k" * 10_000},
    "a key outside a batch": {**NOOP, "idempotency_key": "k"}, "an unknown version": {**NOOP, "version": 2},
}  # fmt: skip

CASES = [
    *(Case(f"JSON: {name}", 400, body=text) for name, text in MALFORMED.items()),
    *(Case(f"request: {name}", 422, body=body(document)) for name, document in BROKEN.items()),
    Case("payload of 300 KiB", 413, body=body({"type": "text.statistics", "payload": {"text": "x" * 300_000}})),
    Case("body of 20 MB", 413, body=b'{"type": "text.statistics", "payload": {"text": "' + b"x" * 20_000_000 + b'"}}'),
    *(Case(f"content type {kind!r}", 415, headers={"Content-Type": kind} if kind else {}, body=body(NOOP))
      for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json", "application/json; charset=latin-1")),
    Case("a thousand headers", 431, headers={**JSON, **{f"x-{n}": "y" for n in range(1_000)}}, body=body(NOOP)),
    Case("a header of 100 KiB", 431, headers={**JSON, "x-long": "y" * 100_000}, body=body(NOOP)),
    Case("an empty Idempotency-Key", 400, headers={**JSON, "Idempotency-Key": ""}, body=body(NOOP)),
    Case("an Idempotency-Key of 10,000", 400, headers={**JSON, "Idempotency-Key": "k" * 10_000}, body=body(NOOP)),
    *(Case(f"wait={value}", 400, path=f"/v1/jobs?wait={value}", body=body(NOOP)) for value in ("soon", "-1", "nan", "inf", "1e9", "")),
    Case("an unknown query parameter", 400, path="/v1/jobs?priority=9", body=body(NOOP)),
    # batches
    Case("batch: not an object", 422, path="/v1/jobs/batch", body=body([NOOP])),
    Case("batch: no jobs", 422, path="/v1/jobs/batch", body=body({"jobs": []})),
    Case("batch: 1,001 jobs", 422, path="/v1/jobs/batch", body=body({"jobs": [NOOP] * 1_001})),
    Case("batch: over 5 MB", 413, path="/v1/jobs/batch", body=body({"jobs": [{"type": "text.statistics", "payload": {"text": "x" * 250_000}}] * 21})),
    # CloudEvents
    *(Case(f"structured: {name}", status, path="/", headers=STRUCTURED, body=body(document)) for name, status, document in (
        ("no id", 400, event(id=None)), ("an empty id", 400, event(id="")), ("an integer id", 400, event(id=7)), ("no source", 400, event(source=None)),
        ("an odd source", 400, event(source="a b")), ("version 0.3", 400, event(specversion="0.3")), ("a bad time", 400, event(time="noon")),
        ("an upper-case attribute", 400, event(Upper="x")), ("an attribute with an object", 400, event(odd={"a": 1})), ("another type", 422, event(type="com.example.other")), ("another version", 422, event(type="dev.observatory.job.requested.v2")),
        ("a lifecycle type", 422, event(type="dev.observatory.job.succeeded.v1")), ("no data", 422, event(data=None)), ("data that breaks the contract", 422, event(data={"type": 1})),
        ("data twice", 400, event(data_base64="e30=")), ("bad base64", 400, event(data=None, data_base64="%%%")),
    )),
    Case("structured: no JSON", 400, path="/", headers=STRUCTURED, body=b"<xml/>"),
    *(Case(f"binary: {name}", status, path="/", headers=headers, body=text) for name, status, headers, text in (
        ("no id", 400, ce(id=None), body(NOOP)), ("an empty id", 400, ce(id=""), body(NOOP)), ("bad percent-encoding", 400, ce(subject="%ZZ"), body(NOOP)),
        ("percent-encoding that is not UTF-8", 400, ce(subject="%FF"), body(NOOP)), ("version 2.0", 400, ce(specversion="2.0"), body(NOOP)), ("broken JSON", 400, ce(), b"{"),
        ("text", 422, {**ce(), "Content-Type": "text/plain"}, b"hello"), ("no body", 422, ce(), b""),
    )),
    Case("batched: not a list", 400, path="/", headers=BATCHED, body=body(event())),
    Case("batched: broken", 400, path="/", headers=BATCHED, body=b"[{]"),
    Case("no CloudEvent at /", 415, path="/", body=body(NOOP)),
    # addresses
    *(Case(f"{method} {path}", status, method=method, path=path, headers={}) for method, path, status in (
        ("GET", "/v1/jobs/../../etc/passwd", 404), ("GET", "/v1/jobs/%00", 404), ("GET", "/v1/jobs/" + "a" * 5_000, 404), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v1/jobs?cursor=%FF%FE", 400), ("GET", "/v1/jobs?cursor=" + "A" * 3_000, 400), ("GET", "/v1/jobs?limit=1e3", 400), ("GET", "/v1/jobs?limit=-1", 400),
        ("GET", "/v1/jobs?limit=99999999999999999999", 400), ("GET", "/v1/jobs?state=queued'--", 400), ("GET", "/v1/jobs?odd=1", 400), ("GET", "/triggers/processor-default", 404),
        ("GET", "/v1/events?a~b/c=1", 400), ("GET", "/v1/jobs?limit=5&limit=6", 400), ("GET", "/v1/jobs?" + "&".join(["id="] * 101), 400),
        ("GET", "/v1/jobs?" + "&".join(f"odd{n}=1" for n in range(2_000)), 400),
        ("DELETE", "/v1/jobs", 405), ("PUT", "/v1/jobs/x", 405), ("POST", "/v1/stats", 405), ("GET", "/v1/jobs/x/cancel", 405), ("POST", "/triggers/processor-default", 404),
        ("POST", "/v1/jobs/x/cancel", 404), ("POST", "/v1/queues/no-such/pause", 422), ("GET", "/v1/stream?after=x", 400),
    )),
    # schedules
    *(Case(f"schedule: {name}", status, method="PUT", path="/v1/schedules/hostile", body=text) for name, status, text in (
        ("broken JSON", 400, b"{"), ("a list", 422, b"[]"), ("no template", 422, body({"every_seconds": 60})), ("no timing", 422, body({"template": NOOP})),
        ("a cron of 5,000 stars", 422, body({"cron": "* " * 5_000, "template": NOOP})), ("a cron that never comes", 422, body({"cron": "0 0 30 2 *", "template": NOOP})),
        ("a cron with a huge number", 422, body({"cron": "9" * 190 + " * * * *", "template": NOOP})), ("a cron of odd digits", 422, body({"cron": "٣ * * * *", "template": NOOP})),
        ("a zone that is a path", 422, body({"cron": "* * * * *", "timezone": "../../../etc/passwd", "template": NOOP})),
        ("a zone with a NUL", 422, body({"cron": "* * * * *", "timezone": "UTC\u0000", "template": NOOP})), ("every microsecond", 422, body({"every_seconds": 1e-6, "template": NOOP})),
        ("every 1e308 seconds", 422, body({"every_seconds": 1e308, "template": NOOP})), ("a template that is a template", 422, body({"every_seconds": 60, "template": {"template": NOOP}})),
        ("a template with keys", 422, body({"every_seconds": 60, "template": {**NOOP, "idempotency_key": "k"}})), ("a payload of 300 KiB", 422, body({"every_seconds": 60, "template": {
            "type": "text.statistics", "payload": {"text": "x" * 300_000}}})),
    )),
    *(Case(f"{method} {path}", status, method=method, path=path, headers={}) for method, path, status in (
        ("GET", "/v1/schedules/%00", 404), ("GET", "/v1/schedules/" + "a" * 5_000, 404), ("DELETE", "/v1/schedules/no-such", 404), ("POST", "/v1/schedules/no-such/run", 404),
        ("POST", "/v1/schedules/x/explode", 404), ("PATCH", "/v1/schedules/x", 405), ("GET", "/v1/schedules?cursor=%FF", 400), ("GET", "/v1/schedules?limit=0", 400),
    )),
    Case("cancel with an odd body", 422, path="/v1/jobs/x/cancel", body=body({"why": 1})),
    Case("cancel with broken JSON", 400, path="/v1/jobs/x/cancel", body=b"{"),
]  # fmt: skip
