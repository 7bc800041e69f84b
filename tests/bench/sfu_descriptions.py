"""What synthetic participants say of themselves in SDP: as a browser would, with what every engine knows."""

from typing import Protocol

from tests.bench.sfu_line import Line, section_lines

OPUS, VP8, RTX = 111, 96, 97
AUDIO_LEVEL_ID, SEND_TIME_ID, TRANSPORT_CC_ID, MID_ID = 1, 2, 3, 4


class Announcing(Protocol):
    """Somebody who sends, and says in a section what."""

    def own_lines(self, kind: str) -> list[str]: ...


def session_lines(bundled: str) -> list[str]:
    return ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {bundled}", "a=msid-semantic: WMS *"]


def media_lines(line: Line, mid: str, kind: str, direction: str, setup: str) -> list[str]:
    """Return a section that offers what a browser has in common with every engine."""
    formats = f"{OPUS}" if kind == "audio" else f"{VP8} {RTX}"
    own = [
        f"a=extmap:{SEND_TIME_ID} http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        f"a=extmap:{TRANSPORT_CC_ID} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        f"a=extmap:{MID_ID} urn:ietf:params:rtp-hdrext:sdes:mid",
    ]
    if kind == "audio":
        own += [
            f"a=extmap:{AUDIO_LEVEL_ID} urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            f"a=rtpmap:{OPUS} opus/48000/2",
            f"a=rtcp-fb:{OPUS} transport-cc",
            f"a=fmtp:{OPUS} minptime=10;useinbandfec=1",
        ]
    else:
        own += [f"a=rtpmap:{VP8} VP8/90000"]
        own += [f"a=rtcp-fb:{VP8} {name}" for name in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")]
        own += [f"a=rtpmap:{RTX} rtx/90000", f"a=fmtp:{RTX} apt={VP8}"]
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {formats}",
        f"c=IN IP4 {line.address[0]}",
        f"a=mid:{mid}",
        *line.transport_lines(setup),
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *own,
    ]


_TURNED = {"sendonly": "recvonly", "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}
_KEPT = ("a=mid:", "a=rtpmap:", "a=rtcp-fb:", "a=fmtp:", "a=extmap:", "a=rtcp-mux", "a=rtcp-rsize")
_DATA = ("a=mid:", "a=sctp-port:", "a=max-message-size:")


def answer_to(offer: str, line: Line, sending: Announcing | None) -> str:
    """Accept every section as it is offered; sections in which we send keep what they said."""
    out = []
    mids = []
    for section in section_lines(offer):
        kind = section[0][2:].split()[0]
        mid = next(text[6:] for text in section if text.startswith("a=mid:"))
        mids.append(mid)
        kept = [text for text in section if text.startswith(_DATA if kind == "application" else _KEPT)]
        direction = next((_TURNED[text[2:]] for text in section if text[2:] in _TURNED), None)
        out += [section[0], f"c=IN IP4 {line.address[0]}", *line.transport_lines("active"), *kept]
        if kind != "application" and direction is not None:
            out.append(f"a={direction}")
            if direction.startswith("send") and sending is not None:
                out += sending.own_lines(kind)
    return "\r\n".join([*session_lines(" ".join(mids)), *out]) + "\r\n"
