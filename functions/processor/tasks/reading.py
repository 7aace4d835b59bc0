"""Opens the files that tasks may read: regular ones below the allowed folders, links resolved first, nothing else."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from functions.processor.tasks.context import Permanent, TaskContext
from functions.processor.tasks.settings import STARTED_IN, task_settings

CHUNK_BYTES = 1 << 20


def open_allowed(path: str) -> BinaryIO:
    """Opens a file for reading. A relative path counts from the folder in which the system was started.

    Raises Permanent for what is outside the allowed folders, absent, or no regular file. A path that is exchanged
    between the check and the opening gains nothing: what was opened is checked again.
    """
    try:
        resolved = (STARTED_IN / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise Permanent(f"{path!r} cannot be read: {_reason(error)}") from None
    if not _is_below_a_root(resolved):
        raise Permanent(_refusal(path))
    try:
        # not waiting for a writer of a pipe, and not through a link that has just been put there
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Permanent(f"{path!r} cannot be read: {_reason(error)}") from None
    try:
        _check_opened(descriptor, path, resolved)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def chunks(file: BinaryIO, context: TaskContext) -> Iterator[bytes]:
    """The bytes of a file in pieces; tells the progress, and heeds a cancel in between."""
    size = os.fstat(file.fileno()).st_size
    done = 0
    while data := file.read(CHUNK_BYTES):
        yield data
        done += len(data)
        if done >= size:
            continue
        context.check_cancelled()
        context.progress(done / size, f"{done:,} of {size:,} bytes")


def _check_opened(descriptor: int, path: str, resolved: Path) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise Permanent(f"{path!r} is no regular file")
    if not _is_below_a_root(_place_of(descriptor, resolved, status)):
        raise Permanent(_refusal(path))


def _place_of(descriptor: int, resolved: Path, status: os.stat_result) -> Path | None:
    """Where an opened file lies, as the kernel says; where it does not say, the path again if it is still that file."""
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    except OSError:
        again = resolved.resolve()
        return again if os.path.samestat(again.stat(), status) else None


def _is_below_a_root(resolved: Path | None) -> bool:
    return resolved is not None and any(resolved.is_relative_to(root) for root in task_settings().files_roots)


def _refusal(path: str) -> str:
    roots = task_settings().files_roots
    return (
        f"{path!r} is outside the folders that tasks may read ({', '.join(map(str, roots)) or 'none'}); OBSERVATORY_FILES_ROOTS names them"
    )


def _reason(error: BaseException) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
