"""One frame of the console for scripts: as text, or the data behind it as JSON."""

import json
import sys
import time
from dataclasses import replace
from typing import Any

from console import environment, exits
from console.api.async_client import AsyncClient
from console.api.exchange import Patience
from console.completion import SCREENS
from console.contexts import Server
from console.messages import Received
from console.prompts import TAB_SHOWS, run
from console.render import render
from console.state import State
from console.theme import Theme
from console.update import update, wants


def show(server: Server, words: str, size: tuple[int, int], *, as_json: bool) -> int:
    """Prints the screen that `words` name as in the palette (`jobs state:failed`); the exit code. Raises ObservatoryError."""
    import asyncio

    return asyncio.run(_show(server, words, size, as_json))


async def _show(server: Server, words: str, size: tuple[int, int], as_json: bool) -> int:
    now = time.monotonic()
    named, ascii_only = environment.name() or server.context, not environment.has_unicode()
    state = State(server.url, named, *size, now=now, ticked=now, wall=time.time(), theme=Theme(0), ascii_only=ascii_only)
    async with AsyncClient(server.url, server.key, patience=Patience(0.5, 2.0)) as client:
        if words:
            state = replace(run(state, words)[0])
            if state.note is not None:
                sys.stderr.write(state.note.text.replace(TAB_SHOWS, f"The screens are {', '.join(SCREENS)}.") + "\n")
                return exits.USAGE
        seen: dict[str, Any] = {}
        for _ in range(2):  # some of what a screen wants follows from what it has read
            for want in wants(state):
                if want not in state.data:
                    document = await (client.get_text(want.path) if want.as_text else client.get(want.path, **dict(want.query)))
                    seen[want.path] = document
                    state, _ = update(state, Received(want, document, time.monotonic()))
    sys.stdout.write((json.dumps({"screen": state.view.screen, "data": seen}, indent=2) if as_json else render(state).text()) + "\n")
    return exits.OK
