"""The state machine of the life of a job over each store; and planted bugs, each of which it must find."""

from typing import Any

import pytest

from functions.stores import commands, moves
from functions.stores.backends import postgres_writing, sqlite_writing
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.commands import running, unit
from tests.ports.job_store.machine import LifeMachine
from tests.ports.job_store.machines import STORES, hunt, live, long, over, quick

QUICK, LONG = quick(100, 30), long(600, 60)


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest) -> type[LifeMachine]:
    """The machine over each store."""
    return over(LifeMachine, request)


def test_any_life_in_any_order_is_the_models(machine: type[LifeMachine]) -> None:
    live(machine, QUICK)


@pytest.mark.kills
def test_many_lives_at_random_are_the_models(machine: type[LifeMachine]) -> None:
    live(machine, LONG, 6)


# ---- planted bugs -----------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def drop_an_event(patch: Patch) -> None:
    """A release is written to the table, but not told."""
    write = sqlite_writing._write_events

    def forgetful(connection: Any, state: Any, found: unit.Unit, check: Any) -> Any:
        found.documents[:] = [document for document in found.documents if not document["type"].endswith("job.released.v1")]
        return write(connection, state, found, check)

    patch.setattr(sqlite_writing, "_write_events", forgetful)
    checked = postgres_writing.checked

    def forgetting(documents: Any, check: Any) -> Any:
        return checked([document for document in documents if not document["type"].endswith("job.released.v1")], check)

    patch.setattr(postgres_writing, "checked", forgetting)


def end_twice(patch: Patch) -> None:
    """A success is told two times."""
    succeed = moves.Moves._succeed

    def twice(self: Any, job: Any, result: Any, ran: float) -> None:
        succeed(self, job, result, ran)
        succeed(self, job, result, ran)

    patch.setattr(moves.Moves, "_succeed", twice)
    patch.setattr(moves, "is_allowed", lambda *_: True)


def leave_a_gap(patch: Patch) -> None:
    """A job's sequence leaps over a number when it is reopened."""
    reopen = moves.Moves.reopen

    def leaping(self: Any, job: Any, actor: str, reason: str | None) -> None:
        job.sequence += 1
        reopen(self, job, actor, reason)

    patch.setattr(moves.Moves, "reopen", leaping)


def count_one_off(patch: Patch) -> None:
    """A cancel is not counted."""
    deltas = unit.state_deltas

    def miscounted(documents: Any) -> Any:
        return deltas([document for document in documents if not document["type"].endswith("job.cancelled.v1")])

    patch.setattr(commands, "state_deltas", miscounted)


def let_a_stale_token_win(patch: Patch) -> None:
    """Whoever names a running job may end it."""

    def lax(job: Any, lease_token: int) -> None:
        if job.status != "running":
            raise moves.LeaseLost("it does not run")

    patch.setattr(moves, "check_lease", lax)


def repeat_an_effect(patch: Patch) -> None:
    """A step that was done before is done again."""

    def again(self: running.Effect, found: unit.Unit) -> Any:
        running.check_lease(found.job(self.job_id), self.lease_token)
        return self.value

    patch.setattr(running.Effect, "apply", again)


def let_the_wall_clock_decide_a_lease(patch: Patch) -> None:
    patch.setattr(SqliteJobStore, "now", lambda self: self._wall())
    patch.setattr(PostgresJobStore, "now", lambda self: self.wall())


BUGS = [drop_an_event, end_twice, leave_a_gap, count_one_off, let_a_stale_token_win, repeat_an_effect, let_the_wall_clock_decide_a_lease]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_machine_finds_a_planted_bug(machine: type[LifeMachine], bug: Any) -> None:
    hunt(machine, QUICK, bug)
