"""The named points at which tests kill the process."""

import os
import signal
import time

import pytest

from functions.stores import faults


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records the signals instead of dying; nothing stays armed."""
    monkeypatch.setattr(faults, "_armed", {})
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    return sent


def test_nothing_is_armed_unless_a_test_asks(kills: list[int]) -> None:
    for point in ("inserted", "committed", "published", "claimed", "handled", "checkpoint"):
        faults.reach(point)
    assert kills == []


def test_the_armed_passage_is_a_kill(kills: list[int]) -> None:
    faults.arm("committed:3,claimed")
    for _ in range(2):
        faults.reach("committed")
    faults.reach("inserted")
    assert kills == []
    faults.reach("committed")
    faults.reach("claimed")
    assert kills == [signal.SIGKILL, signal.SIGKILL]


def test_a_kill_may_come_in_the_middle_of_what_follows(kills: list[int]) -> None:
    faults.arm("checkpoint:1+5")
    faults.reach("checkpoint")
    assert kills == []
    deadline = time.monotonic() + 2
    while not kills and time.monotonic() < deadline:
        time.sleep(0.001)
    assert kills == [signal.SIGKILL]
