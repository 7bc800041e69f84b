"""The service's own data channels to one participant (signaling.md 5.1)."""

from __future__ import annotations

from collections.abc import Callable

from appliance.media_engine import DataPeer, Happening


class OwnChannels:
    """Satisfies DataPeer, for as long as the participant stays: one after the other, connections carry it.

    `emit` tells the listener; `on_wanted` is called when other channels are wanted than before.
    """

    def __init__(self, emit: Callable[[Happening], None], on_wanted: Callable[[], None]) -> None:
        self._emit = emit
        self._on_wanted = on_wanted
        self._wanted: frozenset[str] = frozenset()

    def open_channels(self, labels: frozenset[str]) -> None:
        if labels != self._wanted:
            self._wanted = labels
            self._on_wanted()

    def send(self, label: str, text: str) -> None:
        """Write a text; nothing is open yet."""


_satisfies: type[DataPeer] = OwnChannels  # checked by mypy
