"""The terminal console's loop: messages in, state on, frame out."""

import json
import queue
import secrets
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from console import contexts, environment, exits, filters
from console.contexts import Server
from console.messages import (
    Act,
    Acted,
    Attach,
    Connect,
    Copy,
    Effect,
    Ground,
    Keep,
    Launch,
    LaunchEnded,
    Message,
    Quit,
    Redraw,
    Refresh,
    Resized,
    Suspend,
    Ticked,
)
from console.moving import connected
from console.render import render
from console.state import Link as Condition
from console.state import Machine, State
from console.theme import BRAND_COLOURS, Theme
from console.update import update, wants
from console.widgets.canvas import Canvas
from contracts.errors import ConfigurationError

FRAME_SECONDS = 0.04  # at most 25 frames a second, however much arrives
TICK_SECONDS = 1.0
SPIN_SECONDS = 0.1  # while something turns
CLUSTER_URL = "http://127.0.0.1:8080"  # where `make up` opens the read model


@dataclass(slots=True)
class Loop:
    """One run of the console on a terminal."""

    state: State
    screen: Any
    server: Server
    asks_ground: bool = False
    inbox: "queue.SimpleQueue[Message]" = field(default_factory=queue.SimpleQueue)
    link: Any = None  # a Link, and a Launcher: made after the first frame, for their imports take as long as it may
    launcher: Any = None
    over: bool = False
    drawn_at: float = 0.0

    def run(self) -> int:
        """Until the person leaves; the exit code."""
        try:
            with self.screen.open():
                self._go_on()
        finally:
            if self.link is not None:
                self.link.stop()
            self._name_what_goes_on()
        return exits.OK

    def _go_on(self) -> None:
        self._draw()
        self._connect(self.server)
        if self.asks_ground and (light := self.screen.ground_is_light()) is not None:
            self._take(Ground(light))
        next_tick = 0.0
        while not self.over:
            now = time.monotonic()
            if now >= next_tick:
                self._take(Ticked(now, time.time()))
                next_tick = now + (SPIN_SECONDS if self._is_turning() else TICK_SECONDS)
            self._look_at_size()
            self._draw()
            self._wait(max(min(next_tick - time.monotonic(), TICK_SECONDS), 0.0))

    def _is_turning(self) -> bool:
        return self.state.link.condition == "connecting" or self.state.view.screen == "launcher"

    def _draw(self) -> None:
        """A frame; what cannot be drawn is a fault of ours, and throws nobody out: other screens are a key away."""
        try:
            canvas = render(self.state)
        except Exception as error:
            if environment.wants_tracebacks():
                raise
            canvas = Canvas(self.state.columns, self.state.lines)
            canvas.area().put(1, 1, f"This cannot be shown ({type(error).__name__}: {error}): a fault of the console. 1 goes to the dashboard.", "bad")
        self.screen.draw(canvas, self.state.theme)
        self.drawn_at = time.monotonic()

    def _wait(self, seconds: float) -> None:
        """Takes what comes: keys at once; what arrives from the server gathers until the next frame is due."""
        due = max(self.drawn_at + FRAME_SECONDS - time.monotonic(), 0.0)
        for message in self.screen.messages(seconds if self.inbox.empty() else due):
            self._take(message)
        begun = time.monotonic()
        while not self.over and time.monotonic() - begun < FRAME_SECONDS / 2:
            try:
                self._take(self.inbox.get_nowait())
            except queue.Empty:
                return

    def _take(self, message: Message) -> None:
        try:
            self.state, effects = update(self.state, message)
            wanted = frozenset(wants(self.state))
        except Exception as error:
            if environment.wants_tracebacks():
                raise
            self.state = self.state.said(f"A fault of the console ({type(error).__name__}: {error}); OBSERVATORY_DEBUG=1 shows where.", "bad", 10.0)
            return
        for effect in effects:
            self._do(effect)
        self.link.want(wanted)
        if isinstance(message, LaunchEnded) and message.code == 0 and not self.state.link.heard and self.state.url != CLUSTER_URL:
            self._go_to(Connect(CLUSTER_URL), "opened by make up")

    def _do(self, effect: Effect) -> None:
        match effect:
            case Quit():
                self.over = True
            case Suspend():
                self.screen.suspend()
            case Redraw():
                self.screen.forget()
            case Refresh():
                self.link.refresh()
            case Copy(text):
                self.screen.copy(text)
            case Act():
                self.link.act(effect)
            case Attach():
                self._attach(effect)
            case Connect():
                self._go_to(effect)
            case Keep(kept):
                filters.keep(dict(kept))
            case Launch(what):
                self._launch(what)

    def _attach(self, what: Attach) -> None:
        try:
            held = json.loads(Path(what.path).expanduser().read_text("utf-8"))
        except (OSError, ValueError, RuntimeError) as error:  # the last one for the home of nobody
            self._take(Acted(what.act, None, f"{what.path}: {getattr(error, 'strerror', None) or error}"))
            return
        self.link.act(replace(what.act, body={**what.act.body, what.name: held}))

    def _look_at_size(self) -> None:
        size = self.screen.size
        if size != (self.state.columns, self.state.lines):
            self._take(Resized(*size))

    # ---- servers ------------------------------------------------------------------------------------------------

    def _connect(self, server: Server) -> None:
        from console.link import Link

        if self.link is not None:
            self.link.stop()
        self.server = server
        inbox = self.inbox = queue.SimpleQueue()  # what the server before still sent belongs to it, and goes with it

        def post(message: Message) -> None:
            inbox.put(message)
            self.screen.wake()

        self.link = Link(server.url, server.key, post)
        self.link.start()
        self.link.want(frozenset(wants(self.state)))

    def _go_to(self, where: Connect, by: str = "given by :ctx") -> None:
        """Another server, by name or by address; one that cannot be used is said, and this one stays."""
        try:
            server = contexts.server(name=where.name) if where.name else contexts.server(where.url)
        except ConfigurationError as error:
            self.state = self.state.said(str(error), "bad", 10.0)
            return
        name = server.context or environment.name()
        self.state = connected(self.state, server.url, name, server.colour or environment.colour() or "blue", by)
        self._connect(server)

    def _launch(self, what: str) -> None:
        from console.launching import Launcher

        if self.launcher is None:
            self.launcher = Launcher(self._post)
        self._take(self.launcher.start(what, self.state.url))

    def _name_what_goes_on(self) -> None:
        if self.launcher is None or self.launcher.pid is None:
            return
        if self.launcher.what == "cluster":
            print(f"make up goes on: process {self.launcher.pid}. Said again it goes on where it was; make down removes the cluster.")
        else:
            print(f"What was started here goes on: process {self.launcher.pid}, {self.state.url}, data in {self.state.machine.data_folder}. "
                  "It stops by: make stop")  # fmt: skip

    def _post(self, message: Message) -> None:
        self.inbox.put(message)
        self.screen.wake()


def start(server: Server, theme_name: str = "auto") -> int:
    """Opens the console on this terminal. Returns the exit code."""
    from console.launching import cluster_needs
    from console.terminal import Screen

    screen = Screen()
    columns, lines = screen.size
    now = time.monotonic()
    state = State(
        url=server.url, name=server.context or environment.name(), columns=columns, lines=lines, now=now, ticked=now, wall=time.time(),
        theme=theme_of(theme_name, screen.colours, server.colour or environment.colour()), ascii_only=not environment.has_unicode(),
        filters=tuple(filters.kept().items()), contexts=known_contexts(), link=Condition(since=now),
        machine=Machine(str(environment.data_folder().resolve()), server.origin, cluster_needs()), session=secrets.token_hex(6),
    )  # fmt: skip
    state = with_colour_checked(state, environment.colour())
    return Loop(state, screen, server, asks_ground=theme_name == "auto" and not environment.says_ground()).run()


def with_colour_checked(state: State, colour: str) -> State:
    """The state that says so where OBSERVATORY_COLOUR is none of the colours."""
    if colour in ("", *BRAND_COLOURS):
        return state
    return state.said(f"OBSERVATORY_COLOUR: no {colour!r}, but {', '.join(BRAND_COLOURS)}.", "warn", 10.0)


def known_contexts() -> tuple[tuple[str, str], ...]:
    """The named servers; a file that cannot be understood is the verbs' to complain of."""
    try:
        return tuple((name, context.url) for name, context in contexts.known().items())
    except ConfigurationError:
        return ()


def theme_of(name: str, depth: int, colour: str) -> Theme:
    """`dark`, `light`, or `auto`: light where COLORFGBG says that the ground is."""
    light = name == "light" or (name == "auto" and environment.has_light_ground())
    return Theme(depth, light, colour or "blue")
