"""Events in AMQP messages: the exchange routes each message exactly as the Triggers' filters match its events."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from contracts import strict_json
from contracts.errors import Refused
from contracts.event import Event
from eventing.brokers.rabbitmq import messages
from eventing.brokers.rabbitmq.messages import MAX_EVENTS, Message, Packer, death, unpack
from eventing.brokers.rabbitmq.settlement import Settlement
from eventing.triggers import Destination, Trigger

NAMES = ("type", "queue", "actor")
VALUES = ("a", "b", "c")
filters = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES))
triggers = st.lists(st.tuples(filters, st.sampled_from([1, 3, 50])), max_size=6).map(
    lambda made: [Trigger(f"t-{n}", Destination("s"), attributes, parallelism=width) for n, (attributes, width) in enumerate(made)]
)
kinds = st.fixed_dictionaries({"type": st.sampled_from(VALUES)}, optional={name: st.sampled_from(VALUES) for name in NAMES[1:]})


def event(position: int, attributes: dict[str, str]) -> Event:
    return Event({"specversion": "1.0", "id": str(position), "source": "/test", "position": str(position), **attributes})


def routed(message: Message, bindings: Sequence[Trigger]) -> set[str]:
    """What a headers exchange does with bindings of `x-match: all` (RabbitMQ's documentation of exchanges)."""
    return {each.name for each in bindings if all(message.headers.get(name) == value for name, value in each.attributes.items())}


@given(triggers, st.lists(kinds, max_size=60))
def test_a_message_is_routed_as_each_of_its_events_is_matched(bound: list[Trigger], found: list[dict[str, str]]) -> None:
    sent = [event(n, attributes) for n, attributes in enumerate(found, 1)]
    arrived: dict[str, list[str]] = {each.name: [] for each in bound}
    for message in Packer(bound).pack(sent):
        inside = unpack(message.content_type, message.body, 7)
        assert len(inside) == message.events <= MAX_EVENTS
        for name in routed(message, bound):
            arrived[name] += [each.id for each in inside]
    for each in bound:
        assert sorted(arrived[each.name], key=int) == [one.id for one in sent if each.matches(one)]


@given(triggers, st.lists(kinds, max_size=60))
def test_events_of_one_route_keep_their_order(bound: list[Trigger], found: list[dict[str, str]]) -> None:
    by_route: dict[frozenset[str], list[int]] = {}
    for message in Packer(bound).pack([event(n, attributes) for n, attributes in enumerate(found, 1)]):
        by_route.setdefault(frozenset(routed(message, bound)), []).extend(each.position for each in unpack(message.content_type, message.body, 1))
    assert all(positions == sorted(positions) for positions in by_route.values())


def test_there_are_as_many_messages_as_deliveries_may_be_under_way() -> None:
    sent = [event(n, {"type": "a"}) for n in range(1, 101)]
    for width, count in ((1, 1), (4, 4), (30, 25), (1000, 100)):
        assert len(Packer([Trigger("t", Destination("s"), {}, parallelism=width)]).pack(sent)) == count


def test_large_events_travel_in_messages_of_their_own() -> None:
    sent = [event(n, {"type": "a", "data": "x" * messages.MAX_BYTES}) for n in range(1, 4)]
    assert [message.events for message in Packer([Trigger("t", Destination("s"))]).pack(sent)] == [1, 1, 1]


def test_events_that_nobody_wants_are_left_out() -> None:
    assert Packer([Trigger("t", Destination("s"), {"type": "a"})]).pack([event(1, {"type": "b"})]) == []
    assert Packer([]).pack([event(1, {"type": "b"})]) == []


def test_events_keep_their_tag_and_are_what_was_sent() -> None:
    sent = [event(n, {"type": "a", "subject": "€"}) for n in (1, 2)]
    [message] = Packer([Trigger("t", Destination("s"))]).pack(sent)
    found = unpack(message.content_type, message.body, 42)
    assert [(each.document, each.tag) for each in found] == [(each.document, 42) for each in sent]


def test_what_is_no_message_of_events_is_refused() -> None:
    good = event(1, {"type": "a"}).canonical()
    broken = [(None, good), ("text/plain", good), ("application/cloudevents+json", b"{"), ("application/cloudevents+json", b"{}"),
              ("application/cloudevents-batch+json", good), ("application/cloudevents-batch+json", b"[1]"), ("€", b"")]  # fmt: skip
    for content_type, body in broken:
        try:
            raise AssertionError(unpack(content_type, body, 1))
        except Refused:
            continue
    assert unpack("application/cloudevents-batch+json", b"[]", 1) == []


def test_the_reason_of_a_death_is_read_from_what_rabbitmq_writes() -> None:
    assert death({"x-death": [{"reason": "delivery_limit", "count": 1, "queue": "q"}]}) == "delivery_limit"
    for odd in (None, {}, {"x-death": []}, {"x-death": "no"}, {"x-death": [{}]}, {"x-death": [None]}):
        assert death(odd) is None


# Acknowledgements


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.randoms())
def test_each_message_is_acknowledged_once_all_its_events_are_settled_and_not_before(sizes: list[int], chance) -> None:
    settlement, owed, open_tags = Settlement(), [], set()
    for tag, size in enumerate(sizes, 1):
        settlement.arrived(tag, size)
        owed += [tag] * size
        open_tags.add(tag)
    chance.shuffle(owed)
    left = dict(enumerate(sizes, 1))
    while True:
        for tag, multiple in settlement.take():
            covered = {each for each in open_tags if each == tag or (multiple and each < tag)}
            assert covered and all(left[each] == 0 for each in covered)
            open_tags -= covered
        assert all(left[each] for each in open_tags), "a settled message is still not acknowledged"
        if not owed:
            break
        for tag in [owed.pop() for _ in range(min(len(owed), chance.randint(1, 5)))]:
            left[tag] -= 1
            settlement.settled(tag)
    assert not open_tags and settlement.unacknowledged == 0


def test_a_run_of_settled_messages_is_one_acknowledgement() -> None:
    settlement = Settlement()
    for tag in range(1, 201):
        settlement.arrived(tag, 2)
    for tag in range(1, 101):
        settlement.settled(tag)
        settlement.settled(tag)
    assert settlement.take() == [(100, True)]
    settlement.settled(102)
    settlement.settled(102)
    assert settlement.take() == [(102, False)]
    assert settlement.take() == []
    for tag in (101, 103):
        settlement.settled(tag)
        settlement.settled(tag)
    assert settlement.take() == [(103, True)]


def test_the_body_of_a_batch_is_a_json_array() -> None:
    [message] = Packer([Trigger("t", Destination("s"))]).pack([event(n, {"type": "a"}) for n in (1, 2, 3)])
    assert [item["id"] for item in strict_json.loads(message.body)] == ["1", "2", "3"]
