"""What the figures were measured on."""

import os
import platform
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def keep_to_cores(cores: int) -> list[int]:
    """Binds this process, and all that it starts, to so many processor cores; returns which."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, chosen)
    return chosen


def describe(folder: Path, cores: list[int]) -> dict[str, Any]:
    """Processor, kernel, file system of `folder` and its syncs a second, versions."""
    return {
        "processor": _processor(),
        "cores": len(cores),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": file_system(folder),
        "syncs_a_second": round(syncs_a_second(folder)),
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), sys.platform)


def busy_seconds() -> float:
    """Processor seconds that all processes have used on the cores of this process, and that a hypervisor took."""
    lines = {line.split(maxsplit=1)[0]: line.split()[1:] for line in Path("/proc/stat").read_text().splitlines()}
    ticks = 0
    for core in os.sched_getaffinity(0):
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, lines[f"cpu{core}"])
        ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, such as ext4."""
    path, best, kind = folder.resolve(), "", "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, name, *_ = line.split()
        if (path == Path(point) or Path(point) in path.parents) and len(point) >= len(best):
            best, kind = point, name
    return kind


def syncs_a_second(folder: Path, seconds: float = 0.5) -> float:
    """How many 4 KiB writes in place a second reach the disk, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(4096 * 64))
        os.fsync(file.fileno())
        began, count = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            os.pwrite(file.fileno(), bytes(4096), count % 64 * 4096)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.monotonic() - began)
