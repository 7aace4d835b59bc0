"""What every screen of the terminal console is."""

from collections.abc import Sequence
from typing import Protocol

from console.keys import Key
from console.messages import Effect, Pressed, Want
from console.state import State, View
from console.widgets.canvas import Area

Outcome = tuple[State, tuple[Effect, ...]]


class Screen(Protocol):
    """A screen reads `wants`, is drawn by `draw`, and answers the commands of its keys. All of it is pure."""

    name: str
    title: str
    without: Sequence[str] = ()  # commands of every screen that mean nothing on this one

    @property
    def keys(self) -> Sequence[Sequence[Key]]: ...

    def wants(self, state: State, view: View) -> Sequence[Want]: ...

    def draw(self, area: Area, state: State, view: View) -> None: ...

    def settle(self, state: State) -> State:
        """The state with its topmost view brought into what there is now to show."""

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        """What a command does; None when it is not this screen's."""

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        """A mouse button or wheel at a cell of this screen's area; None when there is nothing."""

    def typing(self, state: State) -> bool:
        """Whether letters are text now."""

    def type(self, state: State, message: Pressed) -> Outcome | None:
        """A key while one types; None for keys that are commands all the same."""
