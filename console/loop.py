"""The terminal console's loop: messages in, state on, frame out."""

import queue
import time
from dataclasses import dataclass, field
from typing import Any

from console import contexts, environment, exits, filters
from console.contexts import Server
from console.render import render
from console.state import Act, Connect, Copy, Effect, Keep, Launch, Message, Quit, Redraw, Refresh, Resized, State, Ticked
from console.theme import Theme
from console.update import update, wants

FRAME_SECONDS = 0.04  # at most 25 frames a second, however much arrives
TICK_SECONDS = 1.0
SPIN_SECONDS = 0.1


@dataclass(slots=True)
class Loop:
    """One run of the console on a terminal."""

    state: State
    screen: Any
    server: Server
    inbox: "queue.SimpleQueue[Message]" = field(default_factory=queue.SimpleQueue)
    link: Any = None  # a Link, and a Launcher: made after the first frame, for their imports take as long as it may
    launcher: Any = None
    over: bool = False

    def run(self) -> int:
        """Until the person leaves; the exit code."""
        with self.screen.open():
            self.screen.draw(render(self.state), self.state.theme)
            self._connect(self.server)
            next_tick = 0.0
            while not self.over:
                now = time.monotonic()
                if now >= next_tick:
                    self._take(Ticked(now, time.time()))
                    next_tick = now + (SPIN_SECONDS if self.state.view.screen == "launcher" else TICK_SECONDS)
                    if self.launcher is not None and (ended := self.launcher.look()) is not None:
                        self._take(ended)
                self._look_at_size()
                self.screen.draw(render(self.state), self.state.theme)
                self._wait(max(min(next_tick - time.monotonic(), TICK_SECONDS), 0.0))
            self.link.stop()
        if self.launcher is not None and self.launcher.pid is not None:
            print(f"What was started here goes on: process {self.launcher.pid}, {self.state.url}. It stops by: make stop")
        return exits.OK

    def _wait(self, seconds: float) -> None:
        """Takes what comes; keys first, and at once."""
        for message in self.screen.messages(seconds):
            self._take(message)
        begun = time.monotonic()
        while not self.over and time.monotonic() - begun < FRAME_SECONDS:
            try:
                self._take(self.inbox.get_nowait())
            except queue.Empty:
                return

    def _take(self, message: Message) -> None:
        self.state, effects = update(self.state, message)
        for effect in effects:
            self._do(effect)
        self.link.want(frozenset(wants(self.state)))

    def _do(self, effect: Effect) -> None:
        match effect:
            case Quit():
                self.over = True
            case Redraw():
                self.screen.forget()
            case Refresh():
                self.link.refresh()
            case Copy(text):
                self.screen.copy(text)
            case Act():
                self.link.act(effect)
            case Connect(url, name):
                self.link.stop()
                self._connect(contexts.server(name=name) if name in contexts.known() else contexts.server(url))
            case Keep(kept):
                filters.keep(dict(kept))
            case Launch():
                self._launch()

    def _look_at_size(self) -> None:
        size = self.screen.size
        if size != (self.state.columns, self.state.lines):
            self._take(Resized(*size))

    def _launch(self) -> None:
        from console.launching import Launcher

        self.launcher = self.launcher or Launcher()
        self._take(self.launcher.start(self.state.url))

    def _connect(self, server: Server) -> None:
        from console.link import Link

        self.link = Link(server.url, server.key, self._post)
        self.link.start()
        self.link.want(frozenset(wants(self.state)))

    def _post(self, message: Message) -> None:
        self.inbox.put(message)
        self.screen.wake()


def start(server: Server, theme_name: str = "auto") -> int:
    """Opens the console on this terminal. Returns the exit code."""
    from console.terminal import Screen

    screen = Screen()
    columns, lines = screen.size
    state = State(
        url=server.url, name=environment.name() or server.context, columns=columns, lines=lines, now=time.monotonic(), wall=time.time(),
        theme=theme_of(theme_name, screen.colours, environment.colour() or server.colour), ascii_only=not environment.has_unicode(),
        filters=tuple(filters.kept().items()), contexts=tuple((name, context.url) for name, context in contexts.known().items()),
        data_folder=str(environment.data_folder().resolve()), looked_at=server.origin,
    )  # fmt: skip
    return Loop(state, screen, server).run()


def theme_of(name: str, depth: int, colour: str) -> Theme:
    """`dark`, `light`, or `auto`: light where COLORFGBG says that the ground is."""
    light = name == "light" or (name == "auto" and environment.has_light_ground())
    return Theme(depth, light, colour or "blue")

