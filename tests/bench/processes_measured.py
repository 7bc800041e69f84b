"""What processes cost: CPU time and resident memory by the operating system's own accounting."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cost:
    """CPU in percent of one core over the interval; memory in MB (1e6 bytes), the median of the samples."""

    cpu_percent: float
    rss_mb: float


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _rss_mb(pid: int) -> float:
    total = 0
    for process in _tree(pid):
        try:
            # Shared pages counted once: Chromium's processes share most of theirs.
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6


def measure(pids: Mapping[str, int], seconds: float) -> dict[str, Cost]:
    """Watch process trees over the same interval."""
    began = time.monotonic()
    before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    memory: dict[str, list[float]] = {name: [] for name in pids}
    while time.monotonic() - began < seconds:
        time.sleep(min(2.0, seconds / 5))
        for name, pid in pids.items():
            memory[name].append(_rss_mb(pid))
    elapsed = time.monotonic() - began
    return {
        name: Cost(100 * (_cpu_seconds(pid) - before[name]) / elapsed, statistics.median(memory[name]))
        for name, pid in pids.items()
    }
