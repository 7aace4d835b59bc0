"""What a dead letter tells of the delivery that failed: enough to find the subscriber, nothing that opens its door."""

import pytest

from contracts.event import Event
from functions.dead_letter.service import _reason
from functions.runtime.dead_letters import letter_of


def failed(place: str) -> Event:
    return Event({"id": "1", "source": "/test", "type": "a.b", "specversion": "1.0", "knativeerrorcode": "500", "knativeerrordest": place})


@pytest.mark.parametrize(
    ("place", "told"),
    [("http://processor/triggers/processor-default", "http://processor/triggers/processor-default"),
     ("http://processor.observatory.svc.cluster.local/triggers/a", "http://processor.observatory.svc.cluster.local/triggers/a"),
     ("https://hooks.example.com/services/T0/B0/s3cret", "https://hooks.example.com/..."), ("https://a.example/?token=s3cret", "https://a.example/..."),
     ("https://user:s3cret@a.example:8443/x", "https://a.example:8443/..."), ("http://a.example/triggers/x?token=s3cret", "http://a.example/..."),
     ("http://[s3cret", "an address that is none")],
)  # fmt: skip
def test_the_path_of_a_webhook_is_not_told(place: str, told: str) -> None:
    reason = _reason(failed(place))
    assert reason == f"the subscriber answered 500 at {told}" and "s3cret" not in reason


def test_what_the_broker_added_is_not_kept_with_the_event() -> None:
    own = {"ce-id": "1", "ce-source": "/test", "ce-type": "a.b", "ce-specversion": "1.0", "content-type": "application/json"}
    added = {"ce-knativeerrordest": "https://a.example/s3cret", "ce-knativeerrorcode": "500", "ce-attempts": "3"}
    headers = {**own, **added, "host": "dead-letter", "authorization": "Bearer s3cret"}
    letter = letter_of("hook", "no", headers, b"{}", failed("https://a.example/s3cret"), 1)
    assert letter.headers == own
