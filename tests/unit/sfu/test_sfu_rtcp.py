"""RTCP: aiortc reads what we write, and writes what we read."""

from aiortc import rtp as aiortc_rtp

from appliance.sfu import rtcp


def parse(data: bytes) -> list[aiortc_rtp.AnyRtcpPacket]:
    return aiortc_rtp.RtcpPacket.parse(data)


def test_a_receiver_report_is_understood() -> None:
    report = rtcp.ReceptionReport(7, 12, -3, 70_000, 99, 0xABCD, 65536)

    [packet] = parse(rtcp.write_receiver_report(1, [report]))

    assert isinstance(packet, aiortc_rtp.RtcpRrPacket)
    [read] = packet.reports
    assert (read.ssrc, read.fraction_lost, read.packets_lost, read.highest_sequence) == (7, 12, -3, 70_000)
    assert (read.jitter, read.lsr, read.dlsr) == (99, 0xABCD, 65536)
    assert list(rtcp.read_compound(bytes(packet))) == [report]


def test_a_sender_report_comes_with_its_name() -> None:
    said = rtcp.SenderReport(7, 1 << 40, 5, 6, 7)

    report, names = parse(rtcp.write_sender_report(said, "PA12"))

    assert isinstance(report, aiortc_rtp.RtcpSrPacket)
    assert report.sender_info.ntp_timestamp == 1 << 40
    assert isinstance(names, aiortc_rtp.RtcpSdesPacket)
    assert names.chunks[0].items == [(1, b"PA12")]
    assert list(rtcp.read_compound(rtcp.write_sender_report(said, "PA12"))) == [said]


def test_a_nack_packs_neighbours_together_over_the_wrap() -> None:
    wanted = [65530, 65535, 0, 9, 10, 300]

    data = rtcp.write_nack(1, 7, wanted)

    assert len(data) == 12 + 2 * 4  # 65530 with the 16 after it, and 300
    assert list(rtcp.read_compound(data)) == [rtcp.Nack(7, (65530, 65535, 0, 9, 10, 300))]


def test_keyframe_requests_are_read_as_pli_and_as_fir() -> None:
    fir = aiortc_rtp.RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=(7).to_bytes(4, "big") + b"\1\0\0\0")

    compound = rtcp.write_pli(1, 7) + bytes(fir)

    assert list(rtcp.read_compound(compound)) == [rtcp.KeyframeRequest(7)] * 2


def test_remb_is_understood() -> None:
    [packet] = parse(rtcp.write_remb(1, 2_500_000, [7, 8]))

    assert isinstance(packet, aiortc_rtp.RtcpPsfbPacket)
    bitrate, ssrcs = aiortc_rtp.unpack_remb_fci(packet.fci)
    assert abs(bitrate - 2_500_000) < 16
    assert ssrcs == [7, 8]
    assert list(rtcp.read_compound(bytes(packet))) == [rtcp.BitrateEstimate(bitrate, (7, 8))]


def test_one_bad_part_does_not_hide_the_others() -> None:
    odd = b"\x81\xcd\x00\x01\x00\x00\x00\x07"  # a NACK without a list

    assert list(rtcp.read_compound(odd + rtcp.write_pli(1, 7))) == [rtcp.KeyframeRequest(7)]


def test_transport_wide_feedback_is_not_taken_for_a_nack() -> None:
    feedback = b"\x8f\xcd\x00\x05" + bytes(20)

    assert list(rtcp.read_compound(feedback)) == []
