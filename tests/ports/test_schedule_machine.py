"""The state machine of schedules over each store; and planted bugs, each of which it must find."""

from typing import Any

import pytest

from contracts import schedule
from functions.stores.backends import postgres_schedules, sqlite_schedules
from functions.stores.commands import firing
from tests.ports.job_store.machines import STORES, hunt, live, long, over, quick
from tests.ports.job_store.schedule_machine import ScheduleMachine

QUICK, LONG = quick(60, 25), long(600, 50)


@pytest.fixture(params=STORES)
def machine(request: pytest.FixtureRequest) -> type[ScheduleMachine]:
    """The machine over each store."""
    return over(ScheduleMachine, request)


def test_any_life_of_schedules_is_the_models(machine: type[ScheduleMachine]) -> None:
    live(machine, QUICK)


@pytest.mark.kills
def test_many_lives_of_schedules_at_random_are_the_models(machine: type[ScheduleMachine]) -> None:
    live(machine, LONG, 6)


# ---- planted bugs -----------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def fire_again(patch: Patch) -> None:
    """A firing leaves its due time due, and its key is the job's own."""
    decided = firing._decided
    patch.setattr(firing, "_decided", lambda due, now: (found := decided(due, now), setattr(found, "next_at", due.next_at))[0])


def lose_the_last(patch: Patch) -> None:
    """Of what was missed, the newest due time is let go."""
    decided = firing._decided

    def losing(due: Any, now: int) -> Any:
        found = decided(due, now)
        found.dues = found.dues[:-1] if len(found.dues) > 1 else found.dues
        return found

    patch.setattr(firing, "_decided", losing)


def forget_the_overlap(patch: Patch) -> None:
    patch.setattr(firing, "_obstacle", lambda *_: None)


def shift_the_grid(patch: Patch) -> None:
    """An interval counts from when it fired, so that lateness adds up."""
    decided = firing._decided

    def shifting(due: Any, now: int) -> Any:
        found = decided(due, now)
        found.next_at = now + round((due.timing.every_seconds or 60) * 1_000_000)
        return found

    patch.setattr(firing, "_decided", shifting)


def resume_what_was_missed(patch: Patch) -> None:
    """A resumed schedule fires at once."""
    patch.setattr(schedule.Schedule, "next_after", lambda self, instant: None if self.paused else instant)


def lose_a_row(patch: Patch) -> None:
    """A deleted schedule stays in the table."""
    restore = sqlite_schedules.restore
    patch.setattr(sqlite_schedules, "restore", lambda connection, rows: restore(connection, {n: row for n, row in rows.items() if row is not None}))
    write = postgres_schedules.write
    patch.setattr(postgres_schedules, "write", lambda transaction, rows: write(transaction, {n: row for n, row in rows.items() if row is not None}))


BUGS = [fire_again, lose_the_last, forget_the_overlap, shift_the_grid, resume_what_was_missed, lose_a_row]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_machine_finds_a_planted_bug(machine: type[ScheduleMachine], bug: Any) -> None:
    hunt(machine, QUICK, bug)
