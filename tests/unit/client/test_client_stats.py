"""What the client says of the streams that it receives: aiortc's receivers, fed by hand."""

from collections.abc import Sequence
from types import SimpleNamespace

from aiortc import RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from appliance.client.encoded_media import media_received
from appliance.client.stats import counters_of, stats_report
from appliance.media_engine import TrackKind

VIDEO, VIDEO_RTX, ANOTHER = 2001, 2002, 2003
CODECS = (
    RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96),
    RTCRtpCodecParameters(mimeType="video/rtx", clockRate=90_000, payloadType=97, parameters={"apt": 96}),
)


async def receiver_that_got(packets: Sequence[RtpPacket]) -> RTCRtpReceiver:
    """A receiver of VP8 on which these packets came, one right after the other."""
    receiver = RTCRtpReceiver("video", SimpleNamespace(state="connected"))
    receiver._set_rtcp_ssrc(1)
    for codec in CODECS:
        receiver._RTCRtpReceiver__codecs[codec.payloadType] = codec
    receiver._RTCRtpReceiver__rtx_ssrc[VIDEO_RTX] = VIDEO
    receiver._track = SimpleNamespace(kind="video")
    for packet in packets:
        await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
    return receiver


def packet(ssrc: int, number: int, timestamp: int, payload_type: int = 96, payload: bytes = b"\x10\x01") -> RtpPacket:
    return RtpPacket(payload_type=payload_type, ssrc=ssrc, sequence_number=number, timestamp=timestamp, payload=payload)


async def test_padding_and_what_was_sent_again_are_no_media_and_have_no_jitter() -> None:
    padding = [packet(VIDEO_RTX, number, 4_000_000_000 * (number % 2), 97, b"") for number in range(20)]
    receiver = await receiver_that_got([*(packet(VIDEO, number, 0) for number in range(5)), *padding])

    [stream] = media_received(receiver)

    assert (stream.ssrc, stream.packets_received, stream.jitter) == (VIDEO, 5, 0)
    figures = counters_of(stats_report("pc", {}, [stream]), 1.0, {TrackKind.VIDEO: 10}, None).kinds[TrackKind.VIDEO]
    assert figures.packets_received == 5
    assert figures.jitter_s == 0


async def test_every_stream_of_a_section_is_counted() -> None:
    receiver = await receiver_that_got([packet(VIDEO, 1, 0), packet(ANOTHER, 1, 0), packet(ANOTHER, 2, 0)])

    assert [(stream.ssrc, stream.packets_received) for stream in media_received(receiver)] == [(VIDEO, 1), (ANOTHER, 2)]
