"""The loop between screen, state and server, with a screen that only counts."""

from typing import Any

from console.contexts import Server
from console.loop import Loop
from console.messages import Connect, Received
from console.state import State
from console.wants import STATS
from tests.console.scenes import NOW
from tests.console.scenes import STATS as FIGURES
from tests.support.waiting import free_port


class Wakes:
    """A screen on which nothing is drawn."""

    size = (120, 40)

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def draw(self, *_: Any) -> None: ...


def test_what_the_server_before_still_sends_is_not_taken_for_the_new_ones() -> None:
    here, there = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    loop = Loop(State(here), Wakes(), Server(here, None, "test"))
    loop._connect(loop.server)
    late = loop.link._hand_over
    loop.inbox.put(Received(STATS, FIGURES, NOW))
    loop._go_to(Connect(there))
    late(Received(STATS, FIGURES, NOW))
    found = []
    while not loop.inbox.empty():
        found.append(loop.inbox.get_nowait())
    loop.link.stop()
    assert not [message for message in found if isinstance(message, Received)]
    assert (loop.state.url, loop.state.link.condition, loop.state.data) == (there, "connecting", {})


def test_a_context_that_is_none_is_said_and_this_server_stays() -> None:
    here = f"http://127.0.0.1:{free_port()}"
    loop = Loop(State(here), Wakes(), Server(here, None, "test"))
    loop._connect(loop.server)
    before = loop.link
    loop._go_to(Connect("", "nowhere-at-all"))
    loop.link.stop()
    assert loop.link is before
    assert loop.state.note is not None and "nowhere-at-all" in loop.state.note.text
