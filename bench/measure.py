"""What a process costs, read from /proc; and percentiles. Nothing here needs more than Linux and the standard library."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> list[int]:
    """These processes and all their descendants that live now, each once."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(dict.fromkeys(roots))
    for one in found:
        found += [child for child in children.get(one, []) if child not in found]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far, their ended children included; one that is gone counts 0."""
    return sum(sum(int(ticks) for ticks in fields[11:15]) for pid in pids if (fields := _stat(pid))) / TICKS


def machine_seconds() -> float:
    """Seconds of all cores together in which somebody worked: user, nice, system, interrupts; not idle, not stolen."""
    user, nice, system, _idle, _waiting, hard, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + hard + soft) / TICKS


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory in MB."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; nan for none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    """nan for none."""
    known = [value for value in values if value == value]
    return statistics.median(known) if known else float("nan")


def pinned(cores: set[int]) -> Callable[[], None]:
    """A Popen's preexec_fn: the new process stays on these cores."""
    return lambda: os.sched_setaffinity(0, cores)


def pin(pids: Iterable[int], cores: set[int]) -> bool:
    """Keep these processes, with all their threads, on these cores. False where the system does not let us."""
    try:
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)
    except (FileNotFoundError, ProcessLookupError):
        return True  # it ended meanwhile
    except PermissionError:
        return False
    return True
