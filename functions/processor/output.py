"""What a handler prints: descriptors 1 and 2 lead into a file in memory, whoever writes to them."""

import ctypes
import fcntl
import os
from functools import cache

HALF_BYTES = 32 * 1024  # of the beginning and of the end, each
TRIM_ABOVE_BYTES = 1 << 20
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h


class Capture:
    """The worker's side: one file for the life of the worker, emptied between two attempts."""

    __slots__ = ("_fd", "_flush")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        self._flush = ctypes.CDLL(None).fflush  # what C code left in its stdio buffers
        self.attach()

    def attach(self) -> None:
        """Leads descriptors 1 and 2 (again) into the file."""
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)

    @property
    def size(self) -> int:
        return os.lseek(self._fd, 0, os.SEEK_END)

    def take(self) -> str | None:
        """What was printed since the last call, shortened; None when nothing was."""
        self._flush(None)
        if not os.lseek(self._fd, 0, os.SEEK_END):
            return None
        text = read_output(self._fd)
        os.ftruncate(self._fd, 0)
        self.attach()
        return text


def read_output(fd: int, start: int = 0, end: int | None = None) -> str | None:
    """The text in a file between two offsets: at most 64 KiB, of a longer one its head and tail with a line that says
    how much was cut. Bytes that are no UTF-8, and NULs, are replaced. None when there is nothing."""
    size = (os.fstat(fd).st_size if end is None else end) - start
    if size <= 0:
        return None
    if size <= 2 * HALF_BYTES:
        return _text(os.pread(fd, size, start))
    head = os.pread(fd, HALF_BYTES, start)
    tail = os.pread(fd, HALF_BYTES, start + size - HALF_BYTES)
    return f"{_text(head)}\n[... {size - 2 * HALF_BYTES:,} bytes cut ...]\n{_text(tail)}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")


def trim(fd: int) -> None:
    """Gives the memory between head and tail of a long output back; what `read_output` reads stays."""
    status = os.fstat(fd)
    if status.st_blocks * 512 <= TRIM_ABOVE_BYTES or (punch := _fallocate()) is None:
        return
    start, end = 2 * HALF_BYTES, (status.st_size - 2 * HALF_BYTES) & ~4095
    if end > start:
        punch(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_longlong(start), ctypes.c_longlong(end - start))


@cache
def _fallocate() -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), "fallocate", None)
