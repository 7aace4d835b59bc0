"""What a request becomes within a deployment's bounds."""

import pytest

from contracts.catalogue import Catalogue, TaskDefinition
from contracts.errors import ContractViolation
from contracts.intake import Intake
from contracts.job import Backoff

SLEEP = TaskDefinition("demo.sleep", 1, "default", "Sleeps.", {"type": "object"}, 3700.0, 5, Backoff().as_json(), 4, None, "demo")
INTAKE = Intake(Catalogue([SLEEP]), {"default"}, timeout_seconds_max=540.0)


def test_a_types_own_timeout_is_bounded_where_nothing_is_asked_for() -> None:
    assert INTAKE.request({"type": "demo.sleep"}, 0).timeout_seconds == 540.0
    assert INTAKE.request({"type": "demo.sleep", "timeout_seconds": 30}, 0).timeout_seconds == 30.0


def test_a_longer_timeout_than_is_allowed_is_refused() -> None:
    with pytest.raises(ContractViolation) as refusal:
        INTAKE.request({"type": "demo.sleep", "timeout_seconds": 541}, 0)
    assert [fault.pointer for fault in refusal.value.faults] == ["/timeout_seconds"]
