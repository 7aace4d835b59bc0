"""The loop between screen, state and server, with a screen that only counts."""

from typing import Any

from console.contexts import Server
from console.loop import Loop, with_colour_checked
from console.messages import Act, Attach, Connect, Received
from console.state import State, View
from console.wants import STATS
from tests.console.scenes import NOW
from tests.console.scenes import STATS as FIGURES
from tests.console.test_command_line import console
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


def test_the_launcher_says_that_ctx_named_the_server_and_not_an_option() -> None:
    here, there = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    loop = Loop(State(here), Wakes(), Server(here, None, "test"))
    loop._connect(loop.server)
    loop._go_to(Connect(there))
    loop.link.stop()
    assert loop.state.machine.looked_at == "given by :ctx"


def test_a_file_in_the_home_of_nobody_is_said_and_ends_nothing() -> None:
    here = f"http://127.0.0.1:{free_port()}"
    loop = Loop(State(here, views=(View("dashboard"), View("contract"))), Wakes(), Server(here, None, "test"))
    loop._connect(loop.server)
    for path in ("~nobody-of-this-name/schema.json", "~/there-is-no-such-schema.json"):
        loop._do(Attach(Act("POST", "/v1/contracts/check", {}, about="check x", asker="contract"), "schema", path))
        assert loop.state.note is not None and path in loop.state.note.text
    loop.link.stop()


def test_a_colour_that_is_none_is_said_with_those_that_there_are() -> None:
    state = with_colour_checked(State("http://127.0.0.1:1"), "purple")
    assert state.note is not None and "'purple'" in state.note.text and "magenta" in state.note.text
    assert with_colour_checked(State("http://127.0.0.1:1"), "red").note is None


def test_a_frame_of_a_screen_that_is_none_names_the_screens() -> None:
    done = console(f"http://127.0.0.1:{free_port()}", "--once", "nosuch")
    assert done.returncode == 2 and "dead-letters, queues" in done.stderr and "Tab" not in done.stderr
