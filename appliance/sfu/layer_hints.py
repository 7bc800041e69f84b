"""Tell a publisher which of its layers are of use to anybody (signaling.md 5.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from appliance.media_engine import Happening, LayersWanted
from appliance.sfu.layers import WantedLayers
from appliance.sids import TrackSid

if TYPE_CHECKING:
    from appliance.sfu.producer import Producer

LOOK_EVERY_S = 0.25


class LayerHints:
    """The hints to one participant for all the videos it publishes."""

    def __init__(self, emit: Callable[[Happening], None]) -> None:
        self._emit = emit
        self._wanted: dict[TrackSid, WantedLayers] = {}
        self._next_look = 0.0

    def tick(self, producers: Iterable[Producer], now: float) -> None:
        """Tell what has changed; called every 50 ms or so."""
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_S
        published = {producer.track.sid: producer for producer in producers}
        for sid in self._wanted.keys() - published.keys():
            del self._wanted[sid]
        for sid, producer in published.items():
            wanted = self._wanted.setdefault(sid, WantedLayers())
            come = [place for place, stream in enumerate(producer.streams) if stream.payload_type >= 0]
            layers = wanted.update(max(come, default=-1) + 1, producer.layer_of_use(), now)
            if layers is not None:
                self._emit(LayersWanted(track_sid=sid, layers=layers))

    def repeat(self, track: TrackSid) -> None:
        """The client forgot what it was told of this track."""
        wanted = self._wanted.get(track)
        if wanted is not None and wanted.told is not None:
            self._emit(LayersWanted(track_sid=track, layers=wanted.told))
