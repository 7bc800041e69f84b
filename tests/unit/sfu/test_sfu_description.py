"""Session descriptions: Chromium's read, ours written and read back by aiortc."""

import pytest
from aiortc.sdp import SessionDescription

from appliance.errors import RemoteProtocolError
from appliance.sfu.description import (
    ABSOLUTE_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    TRANSPORT_CC,
    Layer,
    LocalSection,
    LocalTransport,
    choose_codecs,
    read_description,
    write_description,
)
from tests.support.sfu_harness import CHROMIUM_OFFER

TRANSPORT = LocalTransport(
    ufrag="abcd1234",
    password="p" * 24,
    fingerprint=":".join(["AB"] * 32),
    addresses=(("192.0.2.1", 8444), ("2001:db8::1", 8444)),
)


def test_what_chromium_offers_is_understood() -> None:
    description = read_description(CHROMIUM_OFFER)

    audio, video, data = description.sections
    assert description.ufrag == "Bj7u"
    assert [algorithm for algorithm, _ in description.fingerprints] == ["sha-256"]
    assert (audio.mid, audio.kind, audio.track_id) == ("0", "audio", "aud-a")
    assert audio.client_sends
    assert audio.client_receives
    assert [(c.name, c.payload_type, c.channels) for c in audio.codecs] == [("opus", 111, 2)]
    assert audio.codecs[0].feedback == ("transport-cc",)
    assert audio.extensions == {AUDIO_LEVEL: 1, ABSOLUTE_SEND_TIME: 2, TRANSPORT_CC: 3, MID: 4}
    assert audio.layers == (Layer(ssrc=1001),)
    assert [(c.name, c.payload_type, c.rtx) for c in video.codecs] == [("VP8", 96, 97), ("H264", 108, 109)]
    assert video.codecs[0].feedback == ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")
    assert video.layers == (Layer(ssrc=2001, rtx_ssrc=2002),)
    assert (data.kind, data.sctp_port, data.max_message_size) == ("application", 5000, 262144)


def test_simulcast_layers_come_in_the_order_of_their_group() -> None:
    groups = "a=ssrc-group:SIM 2001 2003 2005\na=ssrc-group:FID 2003 2004\na=ssrc-group:FID 2005 2006\n"
    extra = "".join(f"a=ssrc:{ssrc} cname:c\n" for ssrc in (2006, 2005, 2004, 2003))
    offer = CHROMIUM_OFFER.replace("a=ssrc-group:FID 2001 2002\n", "a=ssrc-group:FID 2001 2002\n" + groups + extra)

    video = read_description(offer).sections[1]

    assert video.layers == tuple(Layer(ssrc=n, rtx_ssrc=n + 1) for n in (2001, 2003, 2005))


def test_the_rooms_order_of_codecs_decides_and_each_comes_once() -> None:
    offered = read_description(CHROMIUM_OFFER).sections[1].codecs

    assert [c.name for c in choose_codecs(offered, ("H264", "VP8"))] == ["H264", "VP8"]
    assert [c.name for c in choose_codecs((*offered, *offered), ("VP8",))] == ["VP8"]
    assert choose_codecs(offered, ("AV1",)) == ()


def test_our_answer_is_read_back_as_meant() -> None:
    audio, video, data = read_description(CHROMIUM_OFFER).sections
    sections = [
        LocalSection(
            mid="0", kind="audio", we_send=True, we_receive=True, codecs=audio.codecs, extensions=audio.extensions,
            msid=("PA1", "s-1"), cname="PA1", ssrc=77,
        ),
        LocalSection(
            mid="1", kind="video", we_send=True, codecs=choose_codecs(video.codecs, ("VP8", "H264")),
            extensions=video.extensions, reduced_size=True, msid=("PA1", "s-2"), cname="PA1", ssrc=78, rtx_ssrc=79,
        ),
        LocalSection(mid="2", kind="application", formats=data.formats, protocol=data.protocol),
        LocalSection(mid="3", kind="text", rejected=True, formats="98", protocol="RTP/AVP"),
    ]  # fmt: skip

    text = write_description(sections, TRANSPORT, setup="passive", session_id=5, version=2)

    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    read = SessionDescription.parse(text)
    assert read.group[0].items == ["0", "1", "2"]
    assert [m.direction for m in read.media] == ["sendrecv", "sendonly", None, "inactive"]
    assert [m.port for m in read.media] == [8444, 8444, 8444, 0]
    assert [m.msid for m in read.media] == ["PA1 s-1", "PA1 s-2", None, None]
    assert [s.ssrc for s in read.media[1].ssrc] == [78, 79]
    assert [c.payloadType for c in read.media[1].rtp.codecs] == [96, 97, 108, 109]
    assert all(m.ice.iceLite and m.dtls and m.dtls.role == "server" for m in read.media[:3])
    assert [(c.ip, c.port, c.type) for c in read.media[0].ice_candidates] == [
        ("192.0.2.1", 8444, "host"),
        ("2001:db8::1", 8444, "host"),
    ]
    assert all(m.ice_candidates_complete for m in read.media[:3])
    assert read.media[2].sctp_port == 5000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "without a media section"),
        ("v=0\r\n", "without a media section"),
        (CHROMIUM_OFFER.replace("a=mid:1\n", ""), "no usable mid"),
        (CHROMIUM_OFFER.replace("a=mid:1\n", "a=mid:0\n"), "names a mid twice"),
        (CHROMIUM_OFFER.replace("a=ice-ufrag:Bj7u\n", ""), "without ICE user fragment"),
        ("\n".join(line for line in CHROMIUM_OFFER.split("\n") if "fingerprint" not in line), "or fingerprint"),
        (CHROMIUM_OFFER.replace("opus/48000", "opus/many"), "cannot be read"),
        (CHROMIUM_OFFER.replace("a=ssrc:1001 ", "a=ssrc:one "), "cannot be read"),
        ("m=audio\n", "cannot be read"),
        ("x" * 500_000, "500000 characters"),
    ],
)
def test_a_description_that_cannot_be_used_says_why(text: str, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        read_description(text)
