"""What arrives on a section, when one stream follows another on it."""

from types import SimpleNamespace
from typing import Any

import pytest

from appliance.client.encoded_media import IncomingMedia
from appliance.media_engine import TrackKind


class Receiver:
    """The part of aiortc's receiver that IncomingMedia looks at."""

    def __init__(self) -> None:
        self._RTCRtpReceiver__codecs = {96: SimpleNamespace(name="VP8")}
        self.asked: list[tuple[int, list[int]]] = []

    async def _send_rtcp_nack(self, ssrc: int, lost: list[int]) -> None:
        self.asked.append((ssrc, lost))


def packet(ssrc: int, sequence: int, data: bytes) -> Any:
    return SimpleNamespace(
        payload_type=96, ssrc=ssrc, sequence_number=sequence, timestamp=sequence * 3000, marker=1, _data=data
    )


@pytest.mark.parametrize("kind", [TrackKind.VIDEO, TrackKind.AUDIO])
async def test_another_stream_begins_anew_and_late_packets_of_the_old_one_do_not_count(kind: TrackKind) -> None:
    receiver: Any = Receiver()
    incoming = IncomingMedia(receiver, kind)
    arrived: list[bytes] = []
    incoming.deliver = lambda codec, data, timestamp, gap: arrived.append(data)

    for each in (
        packet(1, 100, b"a"),
        packet(1, 101, b"b"),
        packet(2, 30_000, b"c"),
        packet(1, 102, b"late"),
        packet(2, 30_001, b"d"),
    ):
        incoming.add(each)

    assert arrived == [b"a", b"b", b"c", b"d"]
    assert incoming.bytes_received == 4
    assert receiver.asked == []
