"""Trigger files: what they may say, and what is refused in words."""

from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.event import Event
from eventing.queues import load_queues
from eventing.triggers import Delivery, Destination, Trigger, load_triggers
from functions.runtime import settings

TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: mine
  namespace: observatory
  annotations: {rabbitmq.eventing.knative.dev/parallelism: "7", other: x}
spec:
  broker: observatory
  filter: {attributes: {type: dev.observatory.job.failed.v1}}
  subscriber: {uri: "https://example.com/hook?x=1"}
  delivery:
    retry: 4
    backoffPolicy: linear
    backoffDelay: PT1.5S
    timeout: PT30S
    deadLetterSink:
      ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: dead-letter}
      uri: /triggers/mine
"""
SINK = """    deadLetterSink:
      ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: dead-letter}
      uri: /triggers/mine
"""


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, *changes: tuple[str, str]) -> list[Trigger]:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "triggers.yaml"
        path.write_text(text)
        return load_triggers([path])

    return read


def event(**attributes: str) -> Event:
    return Event({"specversion": "1.0", "id": "1", "source": "/x", "type": "t", **attributes})


def test_a_trigger_is_read_whole(read):
    assert read(TRIGGER) == [
        Trigger(
            name="mine",
            attributes={"type": "dev.observatory.job.failed.v1"},
            subscriber=Destination(url="https://example.com/hook?x=1"),
            delivery=Delivery(4, "linear", 1.5, 30.0, Destination("dead-letter", "/triggers/mine")),
            parallelism=7,
        )
    ]


def test_what_is_left_out_is_as_the_rabbitmq_broker_has_it(read):
    [trigger] = read(
        TRIGGER,
        ("    retry: 4\n    backoffPolicy: linear\n    backoffDelay: PT1.5S\n    timeout: PT30S\n", ""),
        ('  annotations: {rabbitmq.eventing.knative.dev/parallelism: "7", other: x}\n', ""),
        ("  filter: {attributes: {type: dev.observatory.job.failed.v1}}\n", ""),
    )
    assert (trigger.delivery.retry, trigger.delivery.backoff_policy, trigger.delivery.backoff_delay_seconds) == (5, "exponential", 0.05)
    assert (trigger.parallelism, trigger.attributes, trigger.delivery.timeout_seconds) == (1, {}, None)


def test_other_kinds_in_a_file_are_passed_over(read):
    assert [t.name for t in read("kind: Broker\n---\n# nothing\n---\n" + TRIGGER)] == ["mine"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("  filter:", "  filters: [{prefix: {type: dev}}]\n  filter:"), "spec.filters is refused: the RabbitMQ Broker ignores it"),
        (("type: dev.observatory.job.failed.v1", 'type: ""'), "spec.filter.attributes.type is empty"),
        (("type: dev.observatory.job.failed.v1", "attempt: 5"), "spec.filter.attributes.attempt is 5; it takes text, in quotes"),
        (("type: dev.observatory.job.failed.v1", "job_type: x"), "spec.filter.attributes.job_type is no attribute name"),
        (("type: dev.observatory.job.failed.v1", "1x: x"), "spec.filter.attributes.1x begins with a digit"),
        (("type: dev.observatory.job.failed.v1", "data: x"), "spec.filter.attributes.data is no attribute name"),
        (("eventing.knative.dev/v1\n", "eventing.knative.dev/v1beta1\n"), "apiVersion is 'eventing.knative.dev/v1beta1'"),
        (("broker: observatory", "broker: default"), "spec.broker is 'default'; the Broker here is 'observatory'"),
        (("  broker: observatory\n", ""), "spec.broker is missing"),
        (("    retry: 4", "    retries: 4"), "spec.delivery.retries is not known here; allowed are retry,"),
        (("    retry: 4", "    retry: -1"), "spec.delivery.retry is -1; it takes a whole number from 0 to 100"),
        (("    retry: 4", "    retry: true"), "spec.delivery.retry is True"),
        (("linear", "quadratic"), "spec.delivery.backoffPolicy is 'quadratic'; it takes exponential or linear"),
        (("PT1.5S", "1.5s"), "spec.delivery.backoffDelay is '1.5s'; it takes an ISO 8601 duration such as PT0.2S"),
        (("PT1.5S", "PT0.25S"), "spec.delivery.backoffDelay is 'PT0.25S'"),
        (("PT1.5S", "P1M"), "spec.delivery.backoffDelay is 'P1M'"),
        (("PT1.5S", "P"), "spec.delivery.backoffDelay is 'P'"),
        (("PT30S", "PT0S"), "spec.delivery.timeout is zero"),
        ((SINK, ""), "spec.delivery.deadLetterSink is missing"),
        (("      uri: /triggers/mine", "      uri: https://example.com/"), "deadLetterSink.uri is 'https://example.com/'; beside a ref it is a path"),
        (("kind: Service", "kind: Deployment"), "spec.delivery.deadLetterSink.ref.kind is 'Deployment'"),
        (("serving.knative.dev/v1,", "apps/v1,"), "spec.delivery.deadLetterSink.ref.apiVersion is 'apps/v1'"),
        (('{uri: "https://example.com/hook?x=1"}', "{}"), "spec.subscriber is empty"),
        (('"https://example.com/hook?x=1"', "/hook"), "subscriber.uri is not usable"),
        (('"https://example.com/hook?x=1"', '"https://me:hunter2@example.com/"'), "subscriber.uri is not usable"),
        (('"https://example.com/hook?x=1"', '"http://exa mple.com/"'), "subscriber.uri is not usable"),
        (('"https://example.com/hook?x=1"', '"ftp://example.com/"'), "subscriber.uri is not usable"),
        (('parallelism: "7"', "parallelism: 7"), "parallelism] is 7; it takes a whole number from 1 to 1000 in quotes"),
        (('parallelism: "7"', 'parallelism: "0"'), "parallelism] is '0'; it takes a whole number from 1 to 1000"),
        (("name: mine", "name: Mine"), "metadata.name is 'Mine'"),
        (("  broker:", "  broker: x\n  broker:"), "is no valid YAML: the key 'broker' stands twice"),
        (("spec:", "spec: ["), "is no valid YAML"),
    ],
)  # fmt: skip
def test_what_the_brokers_do_not_do_alike_is_refused_with_file_and_field(read, change, message):
    with pytest.raises(ConfigurationError) as caught:
        read(TRIGGER, change)
    assert message in str(caught.value)
    assert "triggers.yaml" in str(caught.value)


def test_a_password_in_a_url_does_not_stand_in_the_error(read):
    with pytest.raises(ConfigurationError) as caught:
        read(TRIGGER, ('"https://example.com/hook?x=1"', '"https://me:hunter2@example.com/"'))
    assert "hunter2" not in str(caught.value)


def test_two_triggers_of_one_name_are_refused_with_both_files(tmp_path):
    (tmp_path / "a.yaml").write_text(TRIGGER)
    (tmp_path / "b.yml").write_text(TRIGGER)
    with pytest.raises(ConfigurationError, match=r"b\.yml: the Trigger 'mine' stands already in .*a\.yaml"):
        load_triggers([tmp_path])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml: cannot be read: No such file"):
        load_triggers([tmp_path / "absent.yaml"])


@pytest.mark.parametrize(
    ("duration", "seconds"), [("PT0.2S", 0.2), ("PT1M30S", 90), ("P1DT1H", 90_000), ("PT2H", 7200), ("P2D", 172_800), ("PT0S", 0)]
)
def test_durations_are_iso_8601(read, duration, seconds):
    [trigger] = read(TRIGGER, ("PT1.5S", duration))
    assert trigger.delivery.backoff_delay_seconds == seconds


def test_backoff_grows_as_knative_says():
    exponential, linear = Delivery(backoff_delay_seconds=0.2), Delivery(backoff_policy="linear", backoff_delay_seconds=0.2)
    assert [exponential.delay_seconds(n) for n in (1, 2, 3)] == pytest.approx([0.4, 0.8, 1.6])
    assert [linear.delay_seconds(n) for n in (1, 2, 3)] == pytest.approx([0.2, 0.4, 0.6])
    assert exponential.delay_seconds(10_000) < float("inf")


def test_a_trigger_matches_by_equality_of_every_attribute():
    trigger = Trigger("t", Destination("s"), {"type": "t", "queue": "io"})
    assert trigger.matches(event(queue="io"))
    assert not trigger.matches(event(queue="IO"))
    assert not trigger.matches(event(queue="io2"))
    assert not trigger.matches(event())
    assert not trigger.matches(event(queue="io", type="u"))
    assert Trigger("all", Destination("s")).matches(event())


def test_the_folder_that_a_setting_names_is_read_whole_and_has_to_be_there(tmp_path: Path):
    (tmp_path / "mine.yml").write_text(TRIGGER)
    found = load_triggers(settings.load({"OBSERVATORY_TRIGGERS": str(tmp_path)}).trigger_files)
    assert "mine" in {trigger.name for trigger in found} > {trigger.name for trigger in load_triggers(settings.load({}).trigger_files)}
    with pytest.raises(ConfigurationError, match="nowhere: cannot be read"):
        load_triggers(settings.load({"OBSERVATORY_TRIGGERS": str(tmp_path / "nowhere")}).trigger_files)


# Our own file


def test_each_queue_has_its_trigger_and_each_trigger_its_queue():
    queues, triggers = load_queues(), {trigger.name: trigger for trigger in load_triggers()}
    for queue in queues.values():
        assert triggers[queue.trigger].attributes == {"type": "dev.observatory.job.queued.v1", "queue": queue.name}
        assert triggers[queue.trigger].subscriber.service in ("processor", queue.trigger)  # or a Service of its own, for the cluster
        assert triggers[queue.trigger].subscriber.uri == f"/triggers/{queue.trigger}"
    assert {name for name in triggers if name.startswith("processor-")} == {queue.trigger for queue in queues.values()}


def test_the_metrics_engine_gets_every_event():
    [trigger] = [trigger for trigger in load_triggers() if trigger.name == "metrics-engine"]
    assert trigger.attributes == {}


def test_every_trigger_of_ours_tells_functions_its_name_and_has_a_short_delivery_of_its_own():
    for trigger in load_triggers():
        assert trigger.subscriber.url or trigger.subscriber.uri == f"/triggers/{trigger.name}"
        assert trigger.delivery.dead_letter == Destination("dead-letter", f"/triggers/{trigger.name}")
        assert sum(trigger.delivery.delay_seconds(n) for n in range(1, trigger.delivery.retry + 1)) < 5
