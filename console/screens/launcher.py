"""The launcher: nothing answers yet. What was looked for, and what can be started."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from console import text
from console.keys import Key
from console.screens.screen import Outcome
from console.state import Launch, Launching, Pressed, State, View, Want
from console.widgets.canvas import Area, box

SPINNER, ASCII_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
MESSAGES = (
    "opening the store", "reading back what was committed", "rescuing leases of whoever died", "starting the workers", "arming the timer",
    "opening the doors",
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_A_MESSAGE = 0.6


class Launcher:
    name = "launcher"
    title = "Launcher"
    launch_keys = (
        Key(("L",), "launch", "start the system here", "Start the embedded system on this machine; it goes on running when the console is left."),
        Key(("C",), "cluster", "start a cluster", "Start a cluster with kind and Knative."),
        Key(("r", "ctrl-r"), "refresh", "look again", "Look again now."),
    )

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.launch_keys,)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (Want("/v1/stats"),)

    def settle(self, state: State) -> State:
        return state

    def typing(self, state: State) -> bool:
        return False

    def type(self, state: State, message: Pressed) -> Outcome | None:
        return None

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        return None

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "launch":
            return self._launch(state)
        if command == "cluster":
            return state.said("A cluster needs `make up` (docker, kind and kubectl), which this version does not have yet.", "warn", 8.0), ()
        return (state, ()) if command in ("back", "filter", "new-task", "next", "previous", "screen", "palette") else None

    @staticmethod
    def _launch(state: State) -> Outcome:
        if state.launching is not None and not state.launching.problem:
            return state, ()
        if urlsplit(state.url).hostname not in LOOPBACK:
            return state.said(f"{state.url} is another machine; the system can only be started here.", "warn"), ()
        return replace(state, launching=Launching("embedded", state.now)), (Launch("embedded"),)

    def draw(self, area: Area, state: State, view: View) -> None:
        columns, lines = min(area.columns - 4, 84), min(area.lines, 17)
        window = area.part((area.columns - columns) // 2, max((area.lines - lines) // 2, 0), columns, lines)
        inner = box(window, "Distributed Task Observatory", "accent", "title", state.ascii_only)
        line = self._looked(inner, state)
        if state.launching is not None:
            self._starting(inner.part(0, line + 1), state, state.launching)
        elif state.link.condition == "connecting":
            inner.spans(2, line + 1, [(_spin(state), "accent"), (" looking ...", "dim")])
        else:
            self._offers(inner.part(0, line + 1), state)

    @staticmethod
    def _looked(area: Area, state: State) -> int:
        area.spans(2, 1, [("Looked for  ", "dim"), (state.url, "title")])
        area.spans(2, 2, [("            ", ""), (state.looked_at, "faint")])
        if state.link.condition == "away":
            area.spans(2, 3, [("and found   ", "dim"), (state.link.reason or "nothing", "warn")])
        return 4

    @staticmethod
    def _offers(area: Area, state: State) -> None:
        area.spans(2, 0, [("L", "key"), ("  start the embedded system on this machine", "")])
        area.spans(5, 1, [(f"data in {state.data_folder}; nothing else is installed or started", "dim")])
        area.spans(2, 3, [("C", "key"), ("  start a cluster (kind, Knative, RabbitMQ, PostgreSQL, Redis, MongoDB)", "dim")])
        area.spans(5, 4, [("needs `make up`, which this version does not have yet", "faint")])
        area.spans(2, 6, [("q", "key"), ("  leave", "")])
        wait = max(state.link.next_try - state.now, 0.0)
        area.spans(2, 8, [(f"Looking again by itself, in {wait:.0f} s.", "faint")])

    @staticmethod
    def _starting(area: Area, state: State, launching: Launching) -> None:
        if launching.problem:
            area.put(2, 0, "It did not start:", "bad")
            for line, said in enumerate(launching.problem.splitlines()[-5:], 1):
                area.put(4, line, text.clean(said), "warn")
            area.spans(2, 7, [("L", "key"), ("  try again   ", ""), (f"log: {launching.log}", "faint")])
            return
        passed = state.now - launching.since
        message = MESSAGES[min(int(passed / SECONDS_A_MESSAGE), 1 << 30) % len(MESSAGES)]
        area.spans(2, 1, [(_spin(state), "accent"), (f" {message} ...", "")])
        if launching.pid:
            area.put(4, 3, f"process {launching.pid}, {passed:.1f} s; log: {launching.log}", "faint")


def _spin(state: State) -> str:
    marks = ASCII_SPINNER if state.ascii_only else SPINNER
    return marks[int(state.now * 10) % len(marks)]
