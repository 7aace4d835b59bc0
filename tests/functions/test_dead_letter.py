"""The dead-letter function, alone."""

from pathlib import Path

from contracts import validation
from contracts.event import Event
from eventing.outcomes import NO_ANSWER
from functions.dead_letter.service import DeadLetterKeeper
from functions.runtime.parts import Parts
from functions.runtime.settings import load
from tests.support.stores import sqlite_store


async def test_a_replay_that_nobody_answers_is_told_without_a_status_and_the_letter_stays(tmp_path: Path) -> None:
    async def deliver(trigger: str, event: Event) -> tuple[int, str]:
        return NO_ANSWER, "connection refused"

    async with sqlite_store(tmp_path) as store:
        keeper = DeadLetterKeeper(store, deliver=deliver)
        await keeper.handle("broken", [Event(validation.example("events/job.succeeded.v1"))])
        letter = (await store.dead_letters(10, None, None)).items[0]
        after = await keeper.replay(letter.id, "eva", None)
        assert after.status == "kept"
        assert after.outcome is not None and after.outcome.startswith("failed")
        told = (await store.find_events((), f"deadletter/{letter.id}", 10, None)).items
        assert [(event.data["outcome"], event.data["status"], event.data["detail"]) for event in told] == [("failed", None, "connection refused")]


def test_the_triggers_of_a_function_are_those_of_its_services_and_no_webhooks() -> None:
    parts = Parts(load({}))
    assert parts.triggers_of("metrics-engine") == ["metrics-engine"]
    assert set(parts.triggers_of("processor")) == {"processor-default", "processor-bulk", "processor-io", "queue-resumed", "queue-resumed-io"}
