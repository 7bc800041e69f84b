"""The layers of one video: what is known of each, which are of use at a size, when to change between them. Pure.

A step is a layer, whole or without its upper temporal layers: what a subscriber can be given. Steps are in order of
what they cost. Bitrates are in bit/s, times in seconds of the caller's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from appliance.media_engine import Dimensions
from appliance.sfu.history import MASK, SIZE, Entry
from appliance.sfu.picture_size import picture_size
from appliance.sfu.vp8 import temporal_layer

Key = TypeVar("Key", bound=str)

SILENT_AFTER_S = 1.0
"""A layer that sends nothing for so long, while another of its video does, has stopped."""

COUNT_EVERY_S = 0.5
_NEWER_COUNTS = 0.5  # weight of the newest bitrate

_LARGEST_ENLARGEMENT = 1.25
"""A picture is good enough at a size to which it is enlarged by no more than this."""

_SAME_SIZE_SHARE = 0.5
_WORTH_MORE = 1.1
_TYPICAL_BPS = ((57_600, 150_000), (230_400, 500_000), (518_400, 1_200_000), (921_600, 2_000_000))
"""(pixels, bit/s) of pictures as browsers encode them: 320x180, 640x360, 960x540, 1280x720."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """What is known of one layer. `bitrate_bps` is the last that was seen, 0 before anything came.

    `temporal_shares[t]` is the share of the bitrate that temporal layers up to t take; the last is 1.
    """

    size: Dimensions | None = None
    bitrate_bps: float = 0.0
    is_alive: bool = False
    temporal_shares: tuple[float, ...] = (1.0,)


class Step(NamedTuple):
    """A layer by its place, its temporal layers up to `temporal`, None for all; `bitrate_bps` is what it takes."""

    layer: int
    temporal: int | None
    bitrate_bps: float


@dataclass(slots=True)
class LayerMeter:
    """Watches one stream: call `count` now and then, and read `size`, `bitrate_bps`, `temporal_shares`."""

    size: Dimensions | None = None
    bitrate_bps: float = 0.0
    _bytes: int = 0
    _counted_at: float | None = None
    _looked_to: int = 0
    _temporal: list[float] = field(default_factory=lambda: [0.0] * 4)

    def look(self, entries: Sequence[Entry | None], highest_index: int, codec: str) -> None:
        """Read the kept packets that came since the last look: sizes, and how much each temporal layer takes."""
        for index in range(max(self._looked_to + 1, highest_index - SIZE + 1), highest_index + 1):
            entry = entries[index & MASK]
            if entry is None or entry[0] != index or not entry[3]:
                continue
            payload = entry[3]
            self.size = picture_size(codec, payload) or self.size
            if codec == "VP8":
                self._temporal[temporal_layer(payload)] += len(payload)
        self._looked_to = highest_index

    def count(self, total_bytes: int, now: float) -> None:
        """Take how many bytes came in all."""
        if self._counted_at is None:
            self._bytes, self._counted_at = total_bytes, now
            return
        passed = now - self._counted_at
        if passed < COUNT_EVERY_S:
            return
        newest = 8 * (total_bytes - self._bytes) / passed
        self._bytes, self._counted_at = total_bytes, now
        if newest:  # of one that has stopped, the last rate tells what it would take
            self.bitrate_bps += (newest - self.bitrate_bps) * (_NEWER_COUNTS if self.bitrate_bps else 1.0)
        self._temporal = [0.9 * size for size in self._temporal]

    @property
    def temporal_shares(self) -> tuple[float, ...]:
        whole = sum(self._temporal)
        used = max((place for place, size in enumerate(self._temporal) if size > 0.01 * whole), default=0)
        if not used:
            return (1.0,)
        return (*(sum(self._temporal[: place + 1]) / whole for place in range(used)), 1.0)


def typical_bps(size: Dimensions) -> float:
    """Return what a picture of this size takes as browsers encode it."""
    pixels = size.width * size.height
    smaller = (0, 0)
    for larger in _TYPICAL_BPS:
        if pixels <= larger[0]:
            share = (pixels - smaller[0]) / (larger[0] - smaller[0])
            return smaller[1] + share * (larger[1] - smaller[1])
        smaller = larger
    return smaller[1] * pixels / smaller[0]


def is_enough(size: Dimensions, target: Dimensions) -> bool:
    """Tell whether a picture need not be larger to be shown, whole, within `target`."""
    return min(target.width / size.width, target.height / size.height) <= _LARGEST_ENLARGEMENT


def highest_of_use(layers: Sequence[LayerFacts], target: Dimensions | None) -> int:
    """Return the place of the layer above which none is of use at the target size; None: the larger the better.

    Layers of one size, as Chromium sends them where nobody scales them, differ by what they may cost: one is enough
    that has half of what its target takes.
    """
    last = len(layers) - 1
    if target is None:
        return last
    sizes = known_sizes(layers)
    for place, layer in enumerate(layers[:last]):
        size, following = sizes[place], sizes[place + 1]
        if size is None or not is_enough(size, target):
            continue
        is_poor = 0 < layer.bitrate_bps < _SAME_SIZE_SHARE * typical_bps(target)
        if following != size or not is_poor:
            return place
    return last


def known_sizes(layers: Sequence[LayerFacts]) -> list[Dimensions | None]:
    """Return the sizes, those of layers that never came guessed as twice the one below (signaling.md 4.10)."""
    sizes: list[Dimensions | None] = []
    for layer in layers:
        below = sizes[-1] if sizes else None
        guessed = Dimensions(width=2 * below.width, height=2 * below.height) if below is not None else None
        sizes.append(layer.size or guessed)
    return sizes


def steps_of(layers: Sequence[LayerFacts], target: Dimensions | None) -> tuple[Step, ...]:
    """Return what a subscriber can be given now, cheapest first; never empty.

    Layers that have stopped are left out, and those larger than is of use, unless no other comes. Temporal layers are
    left out only where that gives a step between two layers, or one below the lowest.
    """
    alive = [place for place, layer in enumerate(layers) if layer.is_alive]
    top = highest_of_use(layers, target)
    useful = [place for place in alive if place <= top] or alive[:1]
    if not useful:
        return (Step(0, None, layers[0].bitrate_bps if layers else 0.0),)
    steps: list[Step] = []
    sizes = known_sizes(layers)
    for place in useful:
        layer, size = layers[place], sizes[place]
        whole = layer.bitrate_bps or (typical_bps(size) if size is not None else 0.0)  # not measured yet
        least = steps[-1].bitrate_bps * _WORTH_MORE if steps else 0.0
        for temporal, share in enumerate(layer.temporal_shares[:-1]):
            cost = whole * share
            if cost > least and (temporal or place == useful[0]):
                steps.append(Step(place, temporal, cost))
                least = cost * _WORTH_MORE
        floor = steps[-1].bitrate_bps if steps else 0.0
        steps.append(Step(place, None, max(whole, floor)))
    return tuple(steps)


def place_of(steps: Sequence[Step], now: Step) -> int:
    """Return the place of a step that was taken before among those of now: itself, else the next below, else 0."""
    wanted = _order(now)
    return max((place for place, step in enumerate(steps) if _order(step) <= wanted), default=0)


def _order(step: Step) -> tuple[int, int]:
    return step.layer, 9 if step.temporal is None else step.temporal


@dataclass(slots=True)
class Patience(Generic[Key]):
    """Down at once, up only after it could have been for a while: one per subscriber, keyed by video."""

    up_after_s: float = 1.0
    _since: dict[Key, float] = field(default_factory=dict)

    def settle(
        self, now_at: Mapping[Key, int], most: Mapping[Key, int], safe: Mapping[Key, int], now: float
    ) -> dict[Key, int]:
        """Return the place of each video's step, -1 for off.

        `most` is what the budget holds: nothing goes beyond it. `safe` is what a smaller budget, by the margin that we
        want before we go up, holds: whoever is below it goes up to it when that has been so for `up_after_s`. Videos
        that are not in `now_at` are new, and begin with what is safe.
        """
        settled: dict[Key, int] = {}
        for video, limit in most.items():
            wanted = min(safe[video], limit)
            current = now_at.get(video)
            if current is None:
                settled[video] = wanted
            elif current >= wanted:
                self._since.pop(video, None)
                settled[video] = min(current, limit)
            elif now - self._since.setdefault(video, now) >= self.up_after_s:
                del self._since[video]
                settled[video] = wanted
            else:
                settled[video] = min(current, limit)
        for gone in self._since.keys() - most.keys():
            del self._since[gone]
        return settled


@dataclass(slots=True)
class WantedLayers:
    """Which layers of one published video are of use to anybody: on at once, off when that has held for a while.

    The lowest stays on always, so that whoever comes sees a picture at once.
    """

    off_after_s: float = 5.0
    told: tuple[bool, ...] | None = None
    _unused_since: dict[int, float] = field(default_factory=dict)

    def update(self, count: int, highest: int, now: float) -> tuple[bool, ...] | None:
        """Take how many layers have come so far and the highest of use; return what to tell, None for nothing.

        Of a layer that never came nothing is told: the SDK leaves out those that its camera is too small for, and would
        turn them on.
        """
        if count == 0:  # another connection, which knows of nothing
            self.told = None
            self._unused_since.clear()
        if count < 2:
            return None
        before = ((self.told or ()) + (True,) * count)[:count]
        layers = []
        for place in range(count):
            if place <= max(highest, 0):
                self._unused_since.pop(place, None)
                layers.append(True)
            else:
                since = self._unused_since.setdefault(place, now)
                layers.append(before[place] and now - since < self.off_after_s)
        if tuple(layers) == before:
            return None
        self.told = tuple(layers)
        return self.told
