"""What aiortc's senders draw from: one feed per sender, for the sender's whole life.

A sender whose track ends stops for ever (signaling.md A11), and one without a track wakes fifty times a second
(media-engine.md 3). So a sender keeps its feed, and local tracks come and go behind it: attached, detached, attached.
"""

import asyncio
import logging
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamError, MediaStreamTrack

from appliance.client.local_tracks import LocalAudioTrack, LocalMediaTrack
from appliance.media_engine import TrackKind

logger = logging.getLogger(__name__)

CLOCK_RATES = {TrackKind.AUDIO: 48_000, TrackKind.VIDEO: 90_000}


class Continuation:
    """Timestamps of one source after another as one growing line. Pure.

    Args:
        clock_rate: ticks a second.
    """

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._offset: int | None = None
        self._last: int | None = None
        self._last_at = 0.0

    def interrupt(self) -> None:
        """What follows comes from another source, with a clock of its own."""
        self._offset = None

    def place(self, pts: int, now: float) -> int:
        """Return where `pts` (ticks) lies on the common line; it begins at 0 and strictly grows."""
        if self._last is None:
            self._offset = -pts
        elif self._offset is None or pts + self._offset <= self._last:
            elapsed = int((now - self._last_at) * self._clock_rate)
            self._offset = self._last + max(1, elapsed) - pts
        assert self._offset is not None
        self._last, self._last_at = pts + self._offset, now
        return self._last


class Feed(MediaStreamTrack):
    """The track a sender sees. `attach` may be called again and again; the feed ends only when it is stopped."""

    def __init__(self, kind: TrackKind) -> None:
        super().__init__()
        self.kind = kind.value
        self._track: LocalMediaTrack | None = None
        self._attached = asyncio.Event()
        self._reading: asyncio.Future[Any] | None = None
        self._readings = 0
        self.available_bps: int | None = None
        """What the path carries, as the receiving end estimated last (REMB); None until it did."""
        self.audio_level: int | None = None
        """Of the Opus packet that `recv` gave last, in -dBov (RFC 6464); None where nobody told."""
        self._line = Continuation(CLOCK_RATES[kind])

    def attach(self, track: LocalMediaTrack | None) -> None:
        """Draw from `track` from now on, from none with None."""
        if track is self._track:
            return
        if self._track is not None:
            self._track.on_switched = _draw_no_more
        self._track = track
        self._line.interrupt()
        self._read_again()
        if track is None:
            self._attached.clear()
        else:
            track.on_switched = self._read_again
            track.resumed()
            self._attached.set()

    def request_keyframe(self) -> None:
        if self._track is not None:
            self._track.request_keyframe()

    def set_bitrate(self, bitrate_bps: int) -> None:
        if self._track is not None:
            self._track.set_bitrate(bitrate_bps)

    async def recv(self) -> Any:
        """Wait for the next frame or packet; called by aiortc alone."""
        while self.readyState == "live":
            await self._attached.wait()
            media = await self._read_once()
            if media is not None:
                return self._on_the_line(media)
        raise MediaStreamError

    def stop(self) -> None:
        self.attach(None)
        super().stop()

    def _read_again(self) -> None:
        self._readings += 1  # what has been read but not yet taken over is old as well
        if self._reading is not None:
            self._reading.cancel()

    async def _read_once(self) -> Any:
        track, reading_number = self._track, self._readings
        if track is None:
            return None
        self._reading = asyncio.ensure_future(track.next_media())
        try:
            media = await self._reading
            self.audio_level = track.level if isinstance(track, LocalAudioTrack) else None
            return media if reading_number == self._readings else None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # aiortc ends its sender
            return None  # another track has been attached, or this one was switched
        except Exception:
            # The source belongs to the application. Its failure must not end aiortc's sender, which cannot restart.
            logger.exception("the source of %s track %r failed; the track is stopped", track.kind, track.name)
            if self._track is track:
                self.attach(None)
            track.stop()
            return None
        finally:
            self._reading = None

    def _on_the_line(self, media: Any) -> Any:
        clock_rate = CLOCK_RATES[TrackKind(self.kind)]
        rate = media.sample_rate if isinstance(media, av.AudioFrame) else clock_rate
        base = Fraction(media.time_base.numerator, media.time_base.denominator)
        ticks = self._line.place(int((media.pts or 0) * base * clock_rate), asyncio.get_running_loop().time())
        media.pts = ticks * rate // clock_rate  # aiortc's encoder reads sound in samples
        media.time_base = Fraction(1, rate)
        return media


def _draw_no_more() -> None:
    return
