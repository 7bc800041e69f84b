"""What a program holds from time to time, and what of it grows."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil

from tests.bench.report import markdown

WARM_UP = 0.25
"""The share of the samples in which caches and pools may fill."""
LEAST_SPAN_S = 300.0
"""A slope over less time tells of what comes and goes, not of what grows."""


@dataclass(frozen=True)
class Sample:
    """What a program holds at a moment; `packets` of media are counted from its start. None: not known of it.

    `at_s`: seconds since the soak began. `rss_mb`: of 1e6 bytes; of many processes, what they share is counted once.
    """

    at_s: float
    rss_mb: float
    files: float
    threads: float
    packets: float
    tasks: float | None = None
    objects: float | None = None


ALLOWED: Mapping[str, tuple[float, float]] = {
    "rss_mb": (0.04, 6.0),
    "files": (0.0, 3.0),
    "threads": (0.0, 2.0),
    "tasks": (0.0, 4.0),
    "objects": (0.03, 3000.0),
}
"""What a figure may grow by from the second quarter to the last: a share of itself, and so much besides."""

HEADINGS = ("program", "RSS MB", "slope MB/h", "files", "threads", "tasks", "objects", "packets/s", "grew")


def figures(samples: Sequence[Sample], name: str) -> list[float]:
    """Return the known ones of a figure, oldest first."""
    return [value for sample in samples if (value := getattr(sample, name)) is not None]


def grown(samples: Sequence[Sample]) -> list[str]:
    """Name what grew from the second quarter of the samples to the last one, and by how much."""
    quarter = max(1, len(samples) // 4)
    found = []
    for name, (share, besides) in ALLOWED.items():
        early = figures(samples[quarter : 2 * quarter] or samples[:1], name)
        late = figures(samples[-quarter:], name)
        if not early or not late:
            continue
        before, after = statistics.median(early), statistics.median(late)
        if after > before * (1 + share) + besides:
            found.append(f"{name} from {before:.0f} to {after:.0f}")
    return found


def slope_mb_per_h(samples: Sequence[Sample]) -> float | None:
    """Return how memory grows after the warm-up: the line of least squares. None over too short a time."""
    warm = samples[int(len(samples) * WARM_UP) :]
    if len(warm) < 3 or warm[-1].at_s - warm[0].at_s < LEAST_SPAN_S:
        return None
    found = statistics.linear_regression([sample.at_s for sample in warm], [sample.rss_mb for sample in warm])
    return 3600 * found.slope


def packets_per_s(samples: Sequence[Sample]) -> float:
    first, last = samples[0], samples[-1]
    return (last.packets - first.packets) / (last.at_s - first.at_s) if last.at_s > first.at_s else 0.0


def table(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Write the programs beside each other: what each held after the warm-up → at the end."""
    return markdown(HEADINGS, [_row(name, seen) for name, seen in samples.items() if seen])


def _row(name: str, seen: Sequence[Sample]) -> list[str]:
    early, late = seen[int(len(seen) * WARM_UP)], seen[-1]

    def both(figure: str) -> str:
        before, after = getattr(early, figure), getattr(late, figure)
        return "–" if before is None else f"{before:.0f} → {after:.0f}"

    slope = slope_mb_per_h(seen)
    return [
        name,
        both("rss_mb"),
        "–" if slope is None else f"{slope:+.1f}",
        both("files"),
        both("threads"),
        both("tasks"),
        both("objects"),
        f"{packets_per_s(seen):.0f}",
        ", ".join(grown(seen)) or "nothing",
    ]


def line(name: str, sample: Sample) -> str:
    """Write one sample for whoever watches."""
    known = {each.name: getattr(sample, each.name) for each in fields(sample) if each.name != "at_s"}
    return f"{name}: " + " ".join(f"{what} {value:.0f}" for what, value in known.items() if value is not None)


@dataclass
class Counter:
    """Adds up counts of which each begins anew, or goes away, with what is counted."""

    total: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def add(self, counts: Mapping[str, int]) -> int:
        """Take what is counted now, by its name; return what there was in all."""
        for name, count in counts.items():
            before = self._last.get(name, 0)
            self.total += count - before if count >= before else count
        self._last = dict(counts)
        return self.total


def of_browser(at_s: float, packets: int) -> Sample:
    """Look at all of Chromium's processes that this one has started."""
    rss, files, threads = 0.0, 0, 0
    for process in psutil.Process().children(recursive=True):
        try:
            if not process.name().startswith("chrom"):
                continue
            rss += process.memory_full_info().pss
            files += len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
            threads += process.num_threads()
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue  # one of them has just ended
    return Sample(at_s=at_s, rss_mb=rss / 1e6, files=files, threads=threads, packets=packets)
