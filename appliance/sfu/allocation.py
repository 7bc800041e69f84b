"""Share a subscriber's bandwidth between its videos (signaling.md 2.11). Pure. Bitrates are in bit/s.

    mode            whoever is on goes on            what is left improves
    grid            by priority, all at their least  all alike, whatever their priority
    collaboration   by priority, all at their least  in proportion to the size shown, more for a higher priority
    presentation    a higher priority is as good as it can be before a lower one is on at all

These are the semantics that the vendor documents for its BandwidthProfileMode. A step is an index into a video's
steps, cheapest first; -1 is switched off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from appliance.media_engine import Dimensions, TrackPriority, VideoMode
from appliance.sfu.layers import Step
from appliance.sids import TrackSid

OFF = -1

_RANK = {TrackPriority.LOW: 0, TrackPriority.STANDARD: 1, TrackPriority.HIGH: 2}
_WEIGHT = {TrackPriority.LOW: 1.0, TrackPriority.STANDARD: 2.0, TrackPriority.HIGH: 4.0}
_PIXELS_WHERE_UNTOLD = 640 * 360


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One video that a participant receives. `steps` as layers.steps_of gives them; `was_on`: it is on now."""

    sid: TrackSid
    priority: TrackPriority
    steps: tuple[Step, ...]
    is_visible: bool = True
    size: Dimensions | None = None
    was_on: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How to share. `may_switch_off` False: everything visible is on, at its least if need be beyond the budget."""

    mode: VideoMode = VideoMode.GRID
    max_tracks: int | None = None
    may_switch_off: bool = True


def higher_priority(one: TrackPriority, other: TrackPriority | None) -> TrackPriority:
    """Return the higher of two, None being no priority at all."""
    return one if other is None or _RANK[one] >= _RANK[other] else other


def allocate(videos: Sequence[Video], budget_bps: float, sharing: Sharing) -> dict[TrackSid, int]:
    """Return each video's step. The sum keeps to the budget, unless nothing may be switched off."""
    ranked = sorted(videos, key=lambda video: (-_RANK[video.priority], not video.was_on, video.sid))
    given = {video.sid: OFF for video in videos}
    shown = [video for video in ranked if video.is_visible][: sharing.max_tracks]
    left = budget_bps
    if not sharing.may_switch_off:
        for video in shown:
            given[video.sid] = 0
            left -= video.steps[0].bitrate_bps
    for group in _groups(shown, sharing.mode):
        left = _switch_on(group, given, left)
        left = _improve(group, given, left, sharing.mode)
    return given


def _groups(shown: Sequence[Video], mode: VideoMode) -> list[list[Video]]:
    if mode is not VideoMode.PRESENTATION:
        return [list(shown)]
    by_rank = sorted({_RANK[video.priority] for video in shown}, reverse=True)
    return [[video for video in shown if _RANK[video.priority] == rank] for rank in by_rank]


def _switch_on(group: Sequence[Video], given: dict[TrackSid, int], left: float) -> float:
    for video in group:
        cost = video.steps[0].bitrate_bps
        if given[video.sid] == OFF and cost <= left:
            given[video.sid] = 0
            left -= cost
    return left


def _improve(group: Sequence[Video], given: dict[TrackSid, int], left: float, mode: VideoMode) -> float:
    """Raise whoever has least for its weight by one step, as long as one fits."""
    # A heap, not a search: each subscriber of a large room decides several times a second about every video in it.
    waiting = [
        (video.steps[given[video.sid]].bitrate_bps / _weight(video, mode), place)
        for place, video in enumerate(group)
        if given[video.sid] != OFF
    ]
    heapify(waiting)
    while waiting:
        place = waiting[0][1]
        video = group[place]
        step = given[video.sid] + 1
        if step < len(video.steps):
            more = video.steps[step].bitrate_bps - video.steps[step - 1].bitrate_bps
            if more <= left:
                given[video.sid] = step
                left -= more
                heapreplace(waiting, (video.steps[step].bitrate_bps / _weight(video, mode), place))
                continue
        heappop(waiting)
    return left


def _weight(video: Video, mode: VideoMode) -> float:
    if mode is not VideoMode.COLLABORATION:
        return 1.0
    pixels = video.size.width * video.size.height if video.size is not None else _PIXELS_WHERE_UNTOLD
    return max(1, pixels) * _WEIGHT[video.priority]


def cost_of(videos: Sequence[Video], given: Mapping[TrackSid, int]) -> float:
    """Return what a sharing takes."""
    return sum(v.steps[given[v.sid]].bitrate_bps for v in videos if given.get(v.sid, OFF) != OFF)


def next_cost(videos: Sequence[Video], given: Mapping[TrackSid, int]) -> float | None:
    """Return what the sharing would take with the cheapest single improvement, None where none is left."""
    shown = [v for v in videos if v.is_visible and given[v.sid] + 1 < len(v.steps)]
    before = [(v.steps[given[v.sid]].bitrate_bps if given[v.sid] != OFF else 0.0) for v in shown]
    more = [v.steps[given[v.sid] + 1].bitrate_bps - cost for v, cost in zip(shown, before, strict=True)]
    return cost_of(videos, given) + min(more) if more else None
