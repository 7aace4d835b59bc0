"""How a state machine is run over each store, and hunts for a planted bug."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.ports.job_store.benches import PostgresBench, SqliteBench

STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)]
Machine = TypeVar("Machine", bound=RuleBasedStateMachine)


def over(machine: type[Machine], request: pytest.FixtureRequest) -> type[Machine]:
    """The machine over the store that the request of a fixture names."""
    remote = request.param == "postgres"
    make = partial(PostgresBench, request.getfixturevalue("postgres_databases")) if remote else SqliteBench

    class Over(machine):  # type: ignore[valid-type, misc]
        make_bench = staticmethod(make)
        is_remote = remote

    return Over


def quick(examples: int, steps: int) -> settings:
    return settings(_any(examples, steps), derandomize=True)


def long(examples: int, steps: int) -> settings:
    return settings(_any(examples, steps), print_blob=True)


def _any(examples: int, steps: int) -> settings:
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def live(machine: Any, usual: settings, remote_part: int = 3) -> None:
    """Fewer lives over a server, where each step is a few round trips."""
    examples = usual.max_examples // remote_part if machine.is_remote else usual.max_examples
    run_state_machine_as_test(machine, settings=settings(usual, max_examples=examples))


def hunt(machine: Any, usual: settings, bug: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Finding is enough; nothing is made smaller."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception) as found:
        bug(patch)
        run_state_machine_as_test(machine, settings=settings(usual, max_examples=200, phases=[Phase.generate]))
    assert not isinstance(found.value, TypeError | AttributeError | NameError), found.value  # the bug itself must be sound code
