"""Opaque cursors of lists: what a page answers and takes back."""

import base64
import binascii

from contracts.errors import Fault, MalformedRequest


def encode_cursor(value: str | int) -> str:
    """An opaque cursor."""
    return base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Raises MalformedRequest for what was not made by encode_cursor."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _bad_cursor() from None


def decode_numbers(cursor: str) -> tuple[int, int]:
    """The two numbers of a cursor `NUMBER-NUMBER`."""
    parts = decode_cursor(cursor).split("-")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise _bad_cursor()
    return int(parts[0]), int(parts[1])


def _bad_cursor() -> MalformedRequest:
    return MalformedRequest("the cursor is not one that a list answered", faults=[Fault("/cursor", "use next_cursor as it was given")])
