"""Which messages of a channel may be acknowledged. Pure bookkeeping."""


class Settlement:
    """Counts the events that are left of each unacknowledged message, by delivery tag (1, 2, 3 ... on a channel)."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}
        self._ready: list[int] = []

    @property
    def unacknowledged(self) -> int:
        return len(self._left) + len(self._ready)

    def arrived(self, tag: int, events: int) -> None:
        """A message came with so many events."""
        if events:
            self._left[tag] = events
        else:
            self._ready.append(tag)

    def settled(self, tag: int) -> None:
        """One event of a message is done with."""
        left = self._left[tag] - 1
        if left:
            self._left[tag] = left
        else:
            del self._left[tag]
            self._ready.append(tag)

    def take(self) -> list[tuple[int, bool]]:
        """The acknowledgements that are due: a tag, and whether it stands for all up to it."""
        if not self._ready:
            return []
        ready, self._ready = sorted(self._ready), []
        first_left = next(iter(self._left), None)  # tags arrive in order, so the first one left is the lowest
        below = [tag for tag in ready if first_left is None or tag < first_left]
        beyond = [(tag, False) for tag in ready[len(below) :]]
        return [(below[-1], True), *beyond] if below else beyond
