"""What a tree of processes costs, read from /proc (Linux): processor time, memory, descriptors."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds of processor time since the start: of the parent, and of everything below it."""

    parent: float
    others: float

    @property
    def total(self) -> float:
        return self.parent + self.others

    def since(self, before: "ProcessorTime") -> "ProcessorTime":
        return ProcessorTime(self.parent - before.parent, self.others - before.others)


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    parent: int
    session: int
    own_seconds: float
    reaped_seconds: float


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # from field 3 of proc_pid_stat(5) on
    own = int(fields[11]) + int(fields[12])
    reaped = int(fields[13]) + int(fields[14])
    return _Stat(pid, int(fields[1]), int(fields[3]), own * _TICK_SECONDS, reaped * _TICK_SECONDS)


def _tree(root: int) -> list[_Stat]:
    """The process, its descendants, and whoever else is in the session that it leads."""
    stats = [found for entry in PROC.iterdir() if entry.name.isdigit() and (found := _stat(int(entry.name))) is not None]
    members = {root}
    grown = True
    while grown:
        fresh = {stat.pid for stat in stats if stat.parent in members or stat.session == root} - members
        members |= fresh
        grown = bool(fresh)
    return [stat for stat in stats if stat.pid in members]


def processor_time(root: int) -> ProcessorTime:
    """Of the tree below `root`, dead processes included once they were waited for."""
    tree = _tree(root)
    total = sum(stat.own_seconds + stat.reaped_seconds for stat in tree)
    parent = sum(stat.own_seconds for stat in tree if stat.pid == root)
    return ProcessorTime(parent, total - parent)


def memory_bytes(root: int) -> dict[str, int]:
    """Proportional set size of each process of the tree, by `PID name`: shared pages are divided among their users."""
    return {f"{stat.pid} {_name(stat.pid)}": pss for stat in _tree(root) if (pss := _pss(stat.pid))}


def _pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _name(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else (words[0] if words else "?")
    return module.rsplit(".", maxsplit=1)[-1]


def descriptors(pid: int) -> int:
    """Open file descriptors of one process."""
    return sum(1 for _ in (PROC / str(pid) / "fd").iterdir())


def resident_bytes(pid: int) -> int:
    """Resident memory of one process."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def thread_milliseconds(pid: int) -> float:
    """Processor time of the threads of one process, to the nanosecond (proc(5), schedstat); of those that ended, nothing."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in (PROC / str(pid) / "task").iterdir()) / 1e6
