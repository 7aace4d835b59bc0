"""Lives of jobs drawn at random, as their events alone."""

import random

from contracts.event import Event
from contracts.job import JobRequest
from functions.stores.moves import Ending, Moves

START = 1_795_000_000_000_000


def random_life(seed: int, steps: int = 12) -> list[Event]:
    """The events of some jobs under random moves."""
    chance = random.Random(seed)
    events: list[Event] = []
    moves = Moves("urn:observatory:test", START, lambda document: events.append(Event(document)), chance.random)
    for number in range(steps):
        moves.now += chance.randrange(20_000_000)
        job = moves.accept(f"job-{number}", JobRequest(chance.choice(["a.b", "c.d"]), {}, queue=chance.choice(["x", "y"])), 0, None)
        if chance.random() < 0.2:
            moves.cancel(job, "anna", None)
            continue
        while job.status in ("queued", "retrying"):
            moves.now += chance.randrange(5_000_000)
            if job.status == "retrying":
                moves.release_due(job)
                continue
            moves.claim(job, worker="w", instance="i", lease_micros=15, cold_start_seconds=chance.choice([None, 0.25]))
            outcome = chance.choice(["succeeded", "failed", "timed_out", "worker_died", "permanent"])
            moves.end_attempt(job, Ending(job.id, job.lease_token, outcome, ran_micros=chance.randrange(10_000_000)))
    return events
