"""What holds of every store after every test: valid events, allowed moves, dense sequences, counts that add up."""

from collections import Counter, defaultdict

from contracts.event import Event
from contracts.job import is_allowed
from contracts.query import EVERYTHING
from contracts.validation import validate_event
from functions.stores.job_store import JobStore
from tests.ports.job_store.steps import whole_feed


async def assert_sound(store: JobStore) -> None:
    events = await whole_feed(store)
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert max(events[-1].position if events else 0, await store.dropped()) == await store.head()
    streams: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        validate_event(event)
        streams[event.subject or ""].append(event)
    assert len({(event.source, event.id) for event in events}) == len(events)
    states = {}
    for stream, told in streams.items():
        sequences = [int(event.document["sequence"]) for event in told]
        whole = stream.startswith("job/") or not await store.dropped()  # of other streams retention takes single events
        assert sequences == (list(range(1, len(told) + 1)) if whole else sorted(set(sequences))), stream
        if stream.startswith("job/"):
            states[stream[4:]] = final_state(stream, told)
    await assert_counts_add_up(store, states)


def final_state(stream: str, told: list[Event]) -> str:
    """The state that a job's events lead to, each by an allowed move."""
    state = None
    for event in told:
        assert event.data["from"] == state, f"{stream}: {event.type} comes from {event.data['from']}, but it was {state}"
        assert is_allowed(state, event.data["to"], event.type), f"{stream}: {state} -> {event.data['to']} by {event.type}"
        state = event.data["to"]
    assert state is not None
    return str(state)


async def assert_counts_add_up(store: JobStore, states: dict[str, str]) -> None:
    found, cursor = {}, None
    cells: Counter[tuple[str, str, str]] = Counter()
    while True:
        page = await store.jobs(EVERYTHING, 500, cursor)
        for job in page.items:
            found[job.id] = job.status
            cells[job.queue, job.type, job.status] += 1
        if (cursor := page.next_cursor) is None:
            break
    assert found == states
    assert await store.counts() == cells
