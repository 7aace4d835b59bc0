"""What differs between two schemas, place by place: for people who look at versions side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """`pointer` into the schemas; `before` is None for what was added, `after` for what was removed."""

    pointer: str
    kind: str  # added | removed | changed
    before: Any = None
    after: Any = None

    def as_json(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "kind": self.kind, "before": self.before, "after": self.after}


def changes(before: Any, after: Any, pointer: str = "") -> Iterator[Change]:
    """Every place where two JSON documents differ, in the order of their names. Lists are compared whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            below = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in after:
                yield Change(below, "removed", before=before[name])
            elif name not in before:
                yield Change(below, "added", after=after[name])
            else:
                yield from changes(before[name], after[name], below)
    elif before != after:
        yield Change(pointer, "changed", before, after)
