"""The moves: whatever happens to a job, its events are a path of the published table and tell what a fold needs."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import IllegalMove, LeaseLost
from contracts.event import Event
from contracts.job import MOVES, Job, JobRequest
from contracts.validation import validate_event
from functions.stores.moves import Ending, Moves
from tests.support.log_fold import LogFold

SOURCE = "urn:observatory:00000000-0000-4000-8000-000000000000"
ERROR = {"type": "ValueError", "message": "no", "traceback": None}
JOB_ID = "019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f"
START = 1_795_000_000_000_000
OUTCOMES = ["succeeded", "failed", "permanent", "timed_out", "worker_died", "snoozed", "cancelled"]


class Life:
    """One job and all that was told of it; each act happens a second after the one before."""

    def __init__(self, request: JobRequest, open_parents: int = 0) -> None:
        self.documents: list[dict[str, Any]] = []
        self.now = START
        self.job: Job = self.moves().accept(JOB_ID, request, open_parents, None)

    def moves(self) -> Moves:
        self.now += 1_000_000
        return Moves(SOURCE, self.now, self.documents.append, lambda: 0.5)

    def act(self, name: str, token: int, outcome: str) -> None:
        """Does it where the job's state allows it."""
        job, moves = self.job, self.moves()
        if name == "claim" and job.status == "queued":
            moves.claim(job, worker="w", instance="i", lease_micros=15_000_000, cold_start_seconds=None)
        elif name == "release_due" and job.status in ("scheduled", "retrying"):
            moves.release_due(job)
        elif name == "release_child" and job.status == "waiting":
            job.open_parents = 0
            moves.release_child(job)
        elif name == "end" and job.status == "running":
            moves.end_attempt(job, Ending(JOB_ID, job.lease_token, outcome, result={"a": 1}, error=ERROR, after_seconds=2.0))
        elif name == "rescue" and job.status == "running":
            moves.rescue(job)
        elif name == "release" and job.status == "running":
            moves.release(job, job.lease_token, "drain")
        elif name == "progress" and job.status == "running":
            moves.progress(job, job.lease_token, {"fraction": 0.5, "message": None})
        elif name == "cancel" and job.status not in ("succeeded", "failed", "cancelled"):
            moves.cancel(job, "anna", "enough")
        elif name == "reopen" and job.status in ("failed", "cancelled"):
            if job.lease_token == 0 and job.expires_at is not None and job.expires_at <= self.now:
                with pytest.raises(IllegalMove, match="expires_at"):
                    moves.reopen(job, "berta", None)
            else:
                moves.reopen(job, "berta", None)
        elif name == "expire" and job.lease_token == 0 and job.status in ("waiting", "scheduled", "queued"):
            moves.expire(job)


ACTS = st.tuples(
    st.sampled_from(["claim", "claim", "end", "end", "release_due", "release_child", "rescue", "release", "progress", "cancel", "reopen", "expire"]),
    st.integers(0, 3),
    st.sampled_from(OUTCOMES),
)
REQUESTS = st.builds(
    JobRequest,
    type=st.just("demo.noop"),
    payload=st.just({"n": 1}),
    max_attempts=st.integers(1, 3),
    run_at=st.none() | st.integers(START - 10**7, START + 10**7),
    expires_at=st.none() | st.integers(START, START + 10**8),
    priority=st.integers(0, 9),
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.integers(0, 2), st.lists(ACTS, max_size=30))
def test_every_life_is_a_path_of_the_table_and_can_be_folded_from_its_events(request: JobRequest, open_parents: int, acts: list[tuple[str, int, str]]) -> None:
    life = Life(request, open_parents)
    for act in acts:
        life.act(*act)
        assert life.job.attempt <= life.job.attempts_allowed
        assert (life.job.status == "running") == (life.job.lease_until is not None)
    state = None
    for sequence, document in enumerate(life.documents, 1):
        validate_event(Event(document))
        assert int(document["sequence"]) == sequence
        assert document["data"]["from"] == state
        assert (state, document["data"]["to"], document["type"]) in MOVES
        state = document["data"]["to"]
    folded = LogFold().take(life.documents).jobs[JOB_ID]
    if life.job.status != "waiting":
        folded["open_parents"] = life.job.open_parents  # the parents' events are not here
    assert {name: getattr(life.job, name) for name in folded} == folded


@pytest.mark.parametrize("token", [0, 2, 99])
@pytest.mark.parametrize("act", ["end", "release", "progress"])
def test_a_token_that_is_not_held_raises_before_anything_changes(act: str, token: int) -> None:
    life = Life(JobRequest("demo.noop", {}))
    life.act("claim", 0, "")
    before, told = life.job.as_json(), len(life.documents)
    moves = life.moves()
    with pytest.raises(LeaseLost):
        if act == "end":
            moves.end_attempt(life.job, Ending(JOB_ID, token, "succeeded"))
        elif act == "release":
            moves.release(life.job, token, "drain")
        else:
            moves.progress(life.job, token, {"fraction": 1.0, "message": None})
    assert (life.job.as_json(), len(life.documents)) == (before, told)


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    life = Life(JobRequest("demo.noop", {}))
    life.act("claim", 0, "")
    life.act("end", 0, "succeeded")
    with pytest.raises(IllegalMove):
        life.moves().claim(life.job, worker="w", instance="i", lease_micros=1, cold_start_seconds=None)


@pytest.mark.parametrize("end", ["succeeded", "permanent", "cancelled"])
def test_cancelling_what_has_ended_is_refused_in_words(end: str) -> None:
    life = Life(JobRequest("demo.noop", {}))
    life.act("claim", 0, "")
    life.act("end", 0, end)
    with pytest.raises(IllegalMove, match="already ended"):
        life.moves().cancel(life.job, "anna", None)


def test_retrying_a_success_names_the_way_that_there_is() -> None:
    life = Life(JobRequest("demo.noop", {}))
    life.act("claim", 0, "")
    life.act("end", 0, "succeeded")
    with pytest.raises(IllegalMove, match="rerun"):
        life.moves().reopen(life.job, "anna", None)
