"""What the client itself reads out of a session description."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.client.descriptions import ice_ufrag, is_ice_lite, sections

OFFER = "\r\n".join(
    [
        "v=0",
        "a=ice-lite",
        "a=group:BUNDLE 0 1 2",
        "m=audio 8444 UDP/TLS/RTP/SAVPF 96",
        "a=mid:0",
        "a=inactive",
        "a=ice-ufrag:Bj7u",
        "a=rtpmap:96 opus/48000/2",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 8444 typ host",
        "a=end-of-candidates",
        "m=video 8444 UDP/TLS/RTP/SAVPF 101 102 97",
        "a=mid:1",
        "a=sendonly",
        "a=msid:PA2 s-5",
        "a=rtpmap:101 H264/90000",
        "a=rtpmap:102 rtx/90000",
        "a=rtpmap:97 VP8/90000",
        "a=ssrc-group:FID 2002 2003",
        "a=ssrc:2002 cname:y",
        "a=ssrc:2003 cname:y",
        "m=application 8444 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:2",
        "",
    ]
)


def test_sections_tell_what_arrives_where() -> None:
    audio, video, data = sections(OFFER)

    assert (audio.kind, audio.mid, audio.sends, audio.track_id) == ("audio", "0", False, None)
    assert (video.kind, video.mid, video.sends, video.track_id) == ("video", "1", True, "s-5")
    assert video.codecs == ("H264", "RTX", "VP8")
    assert video.ssrcs == (2002, 2003)
    assert video.repairs == {2003: 2002}
    assert (data.kind, data.mid) == ("application", "2")


def test_without_a_direction_a_section_goes_both_ways() -> None:
    [section] = sections("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n")

    assert section.direction == "sendrecv"


def test_ice_lite_and_the_first_ufrag_are_found() -> None:
    assert is_ice_lite(OFFER)
    assert not is_ice_lite(OFFER.replace("a=ice-lite\r\n", ""))
    assert ice_ufrag(OFFER) == "Bj7u"
    assert ice_ufrag("v=0\r\n") is None


@given(st.text())
def test_no_text_at_all_makes_it_fail(text: str) -> None:
    sections(text)
    sections(f"v=0\r\nm={text}")
    is_ice_lite(text)
    ice_ufrag(text)
