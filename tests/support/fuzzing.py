"""Asks the running system what schemathesis makes up from its OpenAPI document, and holds what it answers against that.

Operations get ids of what is there as often as made-up ones, so that not every request ends at "not there". Left out, and
why: `positive_data_acceptance`, for a document cannot say which ids and payloads there are; `missing_required_header`, for
none is required; the examples phase, for the document has none. What the HTTP server answers by itself (TRACE and broken
framing never become a request) belongs to no operation, so no made-up header frames a request.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema

from tests.support.system import System

STREAM = "/v1/stream"  # it has no end
FRAMING = frozenset({"content-length", "transfer-encoding"})
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance", "response_headers_conformance",
    "negative_data_rejection", "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip
QUERIES = (
    "", "state:queued,running", "type:demo.noop -tag:a", "age<1h duration>=1ms OR attempt>=1", 'error:"no such file"', "payload.text:be",
    '"to be" (queue:bulk OR state:failed)', "-(-state:failed)", "id:none", "state:odd", "age<", "(", '"', "payload.:x", "nothing*", "a OR", "\\u0000",
    "state:succeeded " * 60,
)  # fmt: skip
Known = Mapping[str, Sequence[str]]
"""Values of path parameters that are there, by the parameter's name."""


@dataclass(slots=True)
class Found:
    """What became of the cases: how many there were, statuses by operation, and each failure once, in words."""

    cases: int = 0
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return "\n\n".join([*(f"{name}\n{text}" for name, text in self.failures.items()), *self.errors])


def described(system: System, known: Known, *, examples: int, edges: bool = True, seed: int = 6) -> BaseSchema:
    """The system's document, ready to make cases: `examples` are about how many each operation gets made up (0: none),
    `edges` adds those that lie at the borders of each schema."""
    document = system.request("GET", "/openapi.json").json()
    _name_what_is_there(document, system)
    given = {**known, "q": QUERIES}
    configuration = SchemathesisConfig.from_dict({
        "base-url": system.url,
        "auth": {"openapi": {"key": {"bearer": system.key}}},
        "seed": seed,
        "request-timeout": 60,
        "continue-on-failure": True,
        "dictionaries": {name: {"values": list(values)} for name, values in given.items()},
        "parameters": {f"{'query' if name == 'q' else 'path'}.{name}": {"dictionary": name, "probability": 0.6} for name in given},
        "generation": {"mode": "all", "max-examples": max(examples, 1), "database": "none", "no-shrink": True},
        "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
        "phases": {
            "examples": {"enabled": False}, "coverage": {"enabled": edges}, "fuzzing": {"enabled": examples > 0},
            "stateful": {"enabled": examples > 0, "max-steps": 5},
        },
        "warnings": False,
        "cache": {"enabled": False},
    })  # fmt: skip
    return schemathesis.openapi.from_dict(document, config=configuration)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    for name in [name for name in case.headers or {} if name.lower() in FRAMING]:
        del case.headers[name]


def _name_what_is_there(document: dict[str, Any], system: System) -> None:
    """Has requests ask for types and queues that there are, and for payloads that fit often enough."""
    schemas = document["components"]["schemas"]
    queues = [queue["name"] for queue in system.request("GET", "/v1/queues").json()["items"]]
    for name in ("JobRequest", "JobBatchItem"):
        properties = schemas[name]["properties"]
        properties["type"] = {"enum": ["demo.noop", "text.statistics"]}
        properties["queue"] = {"enum": queues}
        properties["payload"] = {"anyOf": [{"const": {}}, {"const": {"text": "to be"}}, {"type": "object"}]}
    schemas["BulkWish"]["properties"]["action"] = {"enum": ["cancel", "retry"]}  # a rerun of everything doubles it


def fuzz(schema: BaseSchema) -> Found:
    """Sends every case, and checks every answer."""
    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(found, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.errors.append(str(getattr(event, "value", None) or getattr(event, "exception", event)))
    return found


def _count(found: Found, recorder: Any) -> None:
    for case_id, node in recorder.cases.items():
        if (response := recorder.find_response(case_id=case_id)) is not None:
            found.cases += 1
            operation = node.value.operation
            found.statuses.setdefault(f"{operation.method.upper()} {operation.path}", Counter())[response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for name, words in _failed(checks):
            found.failures.setdefault(f"{recorder.label}: {name}", f"{words}\n{_told(recorder, case_id)}")


def _told(recorder: Any, case_id: str) -> str:
    response = recorder.find_response(case_id=case_id)
    answer = f"{response.status_code} {response.content[:500]!r}" if response is not None else "no answer"
    return f"{recorder.cases[case_id].value.as_curl_command()[:1_000]}\n{answer}"


def _failed(checks: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for check in checks:
        if check.failure_info is not None:
            failure = check.failure_info.failure
            yield f"{check.name}: {failure.title}", failure.message
