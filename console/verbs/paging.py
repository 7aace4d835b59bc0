"""Lists page by page, up to a number of items."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

PAGE = 200
Page = Mapping[str, Any]


def pages(read: Callable[[int, str | None], Page], most: int) -> Iterator[Page]:
    """`read(limit, cursor)` gives a page; at least one comes."""
    cursor: str | None = None
    left = most
    while left > 0:
        page = read(min(left, PAGE), cursor)
        yield page
        left -= len(page["items"])
        cursor = page.get("next_cursor")
        if cursor is None:
            return


def whole(read: Callable[[int, str | None], Page], most: int) -> dict[str, Any]:
    """All of them as one page."""
    found = list(pages(read, most))
    return {**found[-1], "items": [item for page in found for item in page["items"]]}
