"""The launcher: nothing answers yet. What was looked for, and what can be started."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from console import text
from console.keys import Key
from console.messages import Launch, Pressed, Staged, Want
from console.screens.screen import Outcome
from console.state import Launching, State, View, sure
from console.wants import STATS
from console.widgets.canvas import Area, box
from console.widgets.splash import splash

SPINNER, ASCII_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
MESSAGES = (
    "opening the store", "reading back what was committed", "rescuing leases of whoever died", "starting the workers", "arming the timer",
    "opening the doors",
)  # fmt: skip
LOOKING = ("looking for the observatory", "waiting for an answer", "listening")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_A_MESSAGE = 0.8
COLUMNS, ART, TEXT = 86, 8, 13
STAGE_STYLES = {"done": "ok", "failed": "bad", "begun": "active", "told": "active"}
ELSEWHERE = ("back", "filter", "new-task", "next", "previous", "screen", "operations", "alerts")  # there is nothing yet to go to


class Launcher:
    name = "launcher"
    without: Sequence[str] = ELSEWHERE
    title = "Launcher"
    launch_keys = (
        Key(("L",), "launch", "start it here", "Start the embedded system on this machine; it goes on running when the console is left."),
        Key(("C",), "cluster", "start a cluster", "Start a cluster with kind and Knative (make up), and see its stages."),
        Key(("r", "ctrl-r"), "refresh", "look again", "Look again now."),
    )

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.launch_keys,)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (STATS,)

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
            return self._launch(state, "embedded")
        if command == "cluster":
            return self._cluster(state)
        return (state, ()) if command in self.without else None

    @staticmethod
    def _launch(state: State, what: str) -> Outcome:
        if _is_starting(state):
            return state, ()
        if what == "embedded" and urlsplit(state.url).hostname not in LOOPBACK:
            return state.said(f"{state.url} is another machine; the system can only be started here.", "warn"), ()
        return replace(state, launching=Launching(what, state.now)), (Launch(what),)

    def _cluster(self, state: State) -> Outcome:
        needs = state.machine.cluster_needs
        if needs:
            return state.said(f"A cluster needs {'; '.join(needs)}.", "warn", 10.0), ()
        words = ("It makes a kind cluster, builds the image and deploys everything: some minutes, several GB of images.", "Said again it goes on where it was.")
        question = sure("Start a cluster on this machine (make up)?", (), words)
        yes = replace(question.choices[0], then=lambda state: self._launch(state, "cluster"))
        return (state if _is_starting(state) else replace(state, question=replace(question, choices=(yes, *question.choices[1:])))), ()

    # ---- drawing ------------------------------------------------------------------------------------------------

    def draw(self, area: Area, state: State, view: View) -> None:
        art = ART if area.lines >= ART + TEXT + 1 else 0
        stages = len(state.launching.stages) if state.launching is not None else 0
        lines = min(max(art + TEXT + 2, stages + 9), area.lines)
        columns = min(area.columns - 4, COLUMNS)
        window = area.part((area.columns - columns) // 2, max((area.lines - lines) // 2, 0), columns, lines)
        inner = box(window, "Distributed Task Observatory", "accent", "title", state.ascii_only)
        y = 0
        if art and not stages:
            for y, line in enumerate(splash(inner.columns, art, state.now, ascii_only=state.ascii_only), 1):
                inner.put(0, y - 1, line, "accent")
        y = self._looked(inner.part(0, y), state) + y
        rest = inner.part(0, y)
        if state.launching is not None and not state.launching.done:
            self._starting(rest, state, state.launching)
        elif state.link.condition != "away":
            rest.spans(2, 1, [(_spin(state), "accent"), (f" {_turned(LOOKING, state.now)} ...", "")])
        else:
            self._offers(rest, state)

    @staticmethod
    def _looked(area: Area, state: State) -> int:
        area.spans(2, 0, [("Looked for  ", "dim"), (state.url, "title"), (f"  {state.machine.looked_at}", "dim")])
        if state.link.condition == "away":
            area.spans(2, 1, [("and found   ", "dim"), (state.why_away or "nothing", "warn")])
        return 3

    @staticmethod
    def _offers(area: Area, state: State) -> None:
        needs = state.machine.cluster_needs
        here = urlsplit(state.url).hostname in LOOPBACK
        area.spans(2, 0, [("L", "key" if here else "dim"), ("  start the embedded system on this machine", "" if here else "dim")])
        area.put(5, 1, f"data in {state.machine.data_folder}; nothing is installed" if here else "only where the address is this machine's", "dim")
        area.spans(2, 2, [("C", "dim" if needs else "key"), ("  start a cluster: kind, Knative, RabbitMQ, PostgreSQL, Redis, MongoDB", "dim" if needs else "")])
        area.put(5, 3, f"needs {'; '.join(needs)}" if needs else "make up: some minutes; its stages are shown here", "warn" if needs else "dim")
        contexts = ", ".join(name for name, _ in state.contexts) or "none is kept yet; an address will do"
        area.spans(2, 4, [(":ctx NAME", "key"), ("  look somewhere else  ", ""), (contexts, "dim")])
        area.spans(2, 5, [("q", "key"), ("  leave", "")])
        wait = max(state.link.next_try - state.now, 0.0)
        area.put(2, 7, f"Looking again by itself, in {wait:.0f} s.", "dim")

    @staticmethod
    def _starting(area: Area, state: State, launching: Launching) -> None:
        for y, stage in enumerate(launching.stages[-max(area.lines - 6, 1) :]):
            area.spans(2, y, _stage(state, stage))
        rest = area.part(0, min(len(launching.stages), max(area.lines - 6, 1)))
        if launching.problem:
            rest.put(2, 0, "It did not start:", "bad")
            said = [line for line in launching.problem.splitlines() if line.strip()][-4:]
            for y, line in enumerate(said, 1):
                rest.put(4, y, text.clean(line), "warn")
            key = "L" if launching.what == "embedded" else "C"
            rest.spans(2, len(said) + 1, [(key, "key"), ("  try again   ", ""), (f"log: {launching.log}", "dim")])
            return
        passed = state.now - launching.since
        words = _turned(MESSAGES, passed) if launching.what == "embedded" else "make up"
        rest.spans(2, 0, [(_spin(state), "accent"), (f" {words} ...", "")])
        if launching.pid:
            rest.put(4, 1, f"process {launching.pid}, {text.age(passed)}; log: {launching.log}", "dim")
            rest.put(4, 2, "q leaves; it goes on all the same", "dim")


def _is_starting(state: State) -> bool:
    return state.launching is not None and not state.launching.problem and not state.launching.done


def _stage(state: State, stage: Staged) -> list[tuple[str, str]]:
    marks = {"done": "ok", "failed": "!!"}
    mark = marks.get(stage.state) or _spin(state).ljust(2)
    seconds = f"{stage.seconds:6.1f} s" if stage.seconds else " " * 8
    words = text.clean(stage.message.split("\n", 1)[0])
    style = STAGE_STYLES.get(stage.state, "")
    return [(f"{mark} ", style), (f"{text.clean(stage.stage):<14}", ""), (f"{seconds}  ", "dim"), (words, "bad" if stage.state == "failed" else "dim")]


def _turned(words: Sequence[str], seconds: float) -> str:
    return words[int(max(seconds, 0.0) / SECONDS_A_MESSAGE) % len(words)]


def _spin(state: State) -> str:
    marks = ASCII_SPINNER if state.ascii_only else SPINNER
    return marks[int(state.now * 10) % len(marks)]
