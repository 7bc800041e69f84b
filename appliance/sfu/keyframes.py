"""When to ask a publisher for a key frame, and how to see one coming. Pure."""

from dataclasses import dataclass

MINIMUM_INTERVAL_S = 0.5
"""At most one request per layer in this time: a key frame costs ten times an ordinary one (media-engine.md 4.7)."""

_H264_IDR = 5
_H264_SPS = 7
_H264_STAP_A = 24
_H264_FU_A = 28


@dataclass(slots=True)
class KeyframeRequests:
    """Requests for one stream: the first goes out at once, those that follow too soon are joined into one, later.

    Times are seconds on the caller's clock.
    """

    interval_s: float = MINIMUM_INTERVAL_S
    last_sent: float = float("-inf")
    deferred: bool = False

    def ask(self, now: float) -> bool:
        """Take a wish for a key frame. True: send a request now. False: one fires when the interval ends."""
        if now - self.last_sent < self.interval_s:
            self.deferred = True
            return False
        self.last_sent = now
        self.deferred = False
        return True

    def is_due(self, now: float) -> bool:
        """Tell whether a suppressed request must go out now; true once."""
        return self.deferred and self.ask(now)

    def satisfied(self) -> None:
        """A key frame came: whoever waited has it, so a suppressed request would be for nothing."""
        self.deferred = False


def begins_keyframe(codec: str, payload: bytes) -> bool:
    """Tell whether this packet is the first of a key frame.

    `codec` is "VP8" (RFC 7741, 4.2 and 4.3) or "H264" (RFC 6184, 5.2); every packet of another codec begins one.
    """
    if codec == "VP8":
        return _begins_vp8_keyframe(payload)
    if codec == "H264":
        return _begins_h264_keyframe(payload)
    return True


def _begins_vp8_keyframe(payload: bytes) -> bool:
    size = len(payload)
    if size < 2 or payload[0] & 0x17 != 0x10:  # start of partition 0: S set, partition index 0
        return False
    position = 1
    if payload[0] & 0x80:
        optional = payload[1]
        position = 2
        if optional & 0x80:
            if position >= size:
                return False
            position += 2 if payload[position] & 0x80 else 1
        if optional & 0x40:
            position += 1
        if optional & 0x30:
            position += 1
    return position < size and not payload[position] & 0x01  # P: set on inter frames


def _begins_h264_keyframe(payload: bytes) -> bool:
    size = len(payload)
    if not size:
        return False
    kind = payload[0] & 0x1F
    if kind == _H264_STAP_A:
        position = 1
        while position + 2 < size:
            if payload[position + 2] & 0x1F in (_H264_SPS, _H264_IDR):
                return True
            position += 2 + int.from_bytes(payload[position : position + 2], "big")
        return False
    if kind == _H264_FU_A:
        return size > 1 and bool(payload[1] & 0x80) and payload[1] & 0x1F in (_H264_SPS, _H264_IDR)
    return kind in (_H264_SPS, _H264_IDR)
