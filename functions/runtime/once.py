"""What is made once, lazily, however many ask for it at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

Made = TypeVar("Made")
Owner = TypeVar("Owner", bound="Maker")


class Maker:
    """Keeps what its `@once` methods made, under their names. One that failed is tried again by the next who asks."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.locks: dict[str, asyncio.Lock] = {}


def once(make: Callable[[Owner], Awaitable[Made]]) -> Callable[[Owner], Coroutine[Any, Any, Made]]:
    """Makes a method's answer on the first call; later calls get the same."""
    name = make.__name__

    @wraps(make)
    async def made(owner: Owner) -> Made:
        async with owner.locks.setdefault(name, asyncio.Lock()):
            if name not in owner.made:
                owner.made[name] = await make(owner)
        answer: Made = owner.made[name]
        return answer

    return made
