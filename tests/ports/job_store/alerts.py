"""Alerts in the store: what a judgement says is committed, rows and events together."""

import asyncio

from contracts.alerts import Finding, Judge, Rules
from contracts.event_types import ALERT_RAISED
from functions.stores.job_store import JobStore
from tests.ports.job_store.steps import SECOND, Laboratory, short, whole_feed

RULES = Rules()


def judging(*values: float, rules: Rules = RULES) -> Judge:
    """For each value, an alert of a type of its own."""
    found = [Finding("failure-rate", f"demo.fail-{index}", value, f"{value:.0%} failed.") for index, value in enumerate(values)]
    return lambda known, now: rules.judge(found, known, now)


class Alerting:
    async def test_an_alert_is_kept_with_its_event(self, store: JobStore, laboratory: Laboratory) -> None:
        now = store.now()
        judgement = await store.judge_alerts(judging(0.2, 0.01))
        assert [alert.id for _, alert, _ in judgement.told] == ["failure-rate/demo.fail-0"]
        (alert,) = (await store.alerts()).values()
        assert (alert.id, alert.severity, alert.status) == ("failure-rate/demo.fail-0", "warning", "raised")
        assert alert.raised_at is not None and 0 <= alert.raised_at - now < 60 * SECOND
        (event,) = await store.events_of("alert/failure-rate/demo.fail-0")
        assert (event.type, event.attribute("severity"), event.attribute("actor")) == (ALERT_RAISED, "warning", "function:scheduler")
        assert event.data["summary"] == "20% failed."
        assert (await whole_feed(store))[-1] == event

    async def test_a_judgement_without_news_tells_nothing(self, store: JobStore) -> None:
        await store.judge_alerts(judging(0.2))
        kept, head = await store.alerts(), await store.head()
        await store.judge_alerts(judging(0.2))
        assert (await store.alerts(), await store.head()) == (kept, head)

    async def test_its_begin_and_its_end_are_one_dense_stream(self, store: JobStore, laboratory: Laboratory) -> None:
        for _ in range(2):
            await store.judge_alerts(judging(0.2))
            await store.judge_alerts(judging())
            assert (await store.alerts())["failure-rate/demo.fail-0"].calm_since is not None
            laboratory.pass_seconds(RULES.calm_seconds)
            await store.judge_alerts(judging())
            assert await store.alerts() == {}
        events = await store.events_of("alert/failure-rate/demo.fail-0")
        assert [(short(event), event.attribute("sequence")) for event in events] == [
            ("raised", "1"), ("resolved", "2"), ("raised", "3"), ("resolved", "4")]  # fmt: skip

    async def test_two_who_judge_at_once_tell_it_once(self, store: JobStore) -> None:
        await asyncio.gather(*(store.judge_alerts(judging(0.2, 0.7)) for _ in range(8)))
        assert len(await store.events_of("alert/failure-rate/demo.fail-0")) == 1
        assert len(await store.events_of("alert/failure-rate/demo.fail-1")) == 1

    async def test_alerts_outlive_a_restart(self, store: JobStore, laboratory: Laboratory) -> None:
        await store.judge_alerts(judging(0.2, 0.7))
        kept = await store.alerts()
        await store.close()
        again = await laboratory.open()
        try:
            assert await again.alerts() == kept and len(kept) == 2
            assert (await again.judge_alerts(judging(0.2, 0.7))).told == []
        finally:
            await again.close()
