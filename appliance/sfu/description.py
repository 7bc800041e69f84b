"""Session descriptions: the client's read, ours written (RFC 8866, 8829, 8839, 8843). Pure.

We read only what forwarding needs and write only what we forward: Opus, VP8 and constrained-baseline H.264 with their
retransmissions, four header extensions, one data section. Numbers (payload types, extension ids) are the client's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.errors import RemoteProtocolError

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABSOLUTE_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
EXTENSIONS = (MID, AUDIO_LEVEL, ABSOLUTE_SEND_TIME, TRANSPORT_CC)

FEEDBACK = ("nack", "nack pli", "ccm fir", "transport-cc", "goog-remb")

CLOCK_RATES = {"opus": 48_000, "VP8": 90_000, "H264": 90_000}

MAX_MESSAGE_SIZE = 65536
SCTP_PORT = 5000
_LARGEST_DESCRIPTION = 262_144
_MOST_SECTIONS = 300
_MOST_FORMATS = 128
_MOST_STREAMS = 32
"""Of one section: simulcast has three, and as many that resend."""
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A codec with the client's numbers; `name` is "opus", "VP8" or "H264"; `rtx` the payload type that resends it."""

    name: str
    payload_type: int
    clock_rate: int
    channels: int | None = None
    parameters: str = ""
    feedback: tuple[str, ...] = ()
    rtx: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One stream the client sends in a section: its SSRC and that of its retransmissions."""

    ssrc: int
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSection:
    """One m-section of the client. Directions are the client's; `track_id` is the second token of `a=msid`."""

    mid: str
    kind: str
    rejected: bool = False
    client_sends: bool = False
    client_receives: bool = False
    track_id: str | None = None
    codecs: tuple[Codec, ...] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    reduced_size: bool = False
    sctp_port: int = SCTP_PORT
    max_message_size: int = 65536
    formats: str = ""
    protocol: str = "UDP/TLS/RTP/SAVPF"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDescription:
    """What the client's offer or answer says. `fingerprints` are pairs (algorithm, value), e.g. ("sha-256", "AB:…")."""

    ufrag: str
    fingerprints: tuple[tuple[str, str], ...]
    sections: tuple[RemoteSection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSection:
    """One m-section of ours. `msid` is (stream, track) where we send."""

    mid: str
    kind: str
    rejected: bool = False
    we_send: bool = False
    we_receive: bool = False
    codecs: tuple[Codec, ...] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)
    reduced_size: bool = False
    msid: tuple[str, str] | None = None
    cname: str = ""
    ssrc: int = 0
    rtx_ssrc: int | None = None
    formats: str = ""
    protocol: str = "UDP/TLS/RTP/SAVPF"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTransport:
    """What every section of ours says of the connection. `addresses` are (host, port), best first."""

    ufrag: str
    password: str
    fingerprint: str
    addresses: tuple[tuple[str, int], ...]


# --- reading --------------------------------------------------------------------------------------------------------


def read_description(sdp: str) -> RemoteDescription:
    """Return what the client's description says.

    Raises:
        RemoteProtocolError: no section, no mid, no ICE user fragment or fingerprint, a number that is none, or more of
            something than anybody needs.
    """
    if len(sdp) > _LARGEST_DESCRIPTION:
        raise RemoteProtocolError(f"session description of {len(sdp)} characters")
    session, *media = _split(sdp.splitlines())
    if not media:
        raise RemoteProtocolError("session description without a media section")
    if len(media) > _MOST_SECTIONS:
        raise RemoteProtocolError(f"session description with {len(media)} media sections")
    try:
        sections = tuple(_read_section(lines) for lines in media)
    except (ValueError, IndexError) as error:
        raise RemoteProtocolError(f"session description cannot be read: {error}") from error
    if len({section.mid for section in sections}) < len(sections):
        raise RemoteProtocolError("session description names a mid twice")
    everywhere = [line for lines in (session, *media) for line in lines]
    ufrag = next(_values(everywhere, "ice-ufrag"), None)
    fingerprints = tuple(dict.fromkeys(_fingerprints(everywhere)))
    if ufrag is None or not fingerprints:
        raise RemoteProtocolError("session description without ICE user fragment or fingerprint")
    return RemoteDescription(ufrag=ufrag, fingerprints=fingerprints, sections=sections)


def _split(lines: Iterable[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            groups.append([])
        groups[-1].append(line.strip())
    return groups


def _values(lines: Iterable[str], name: str) -> Iterator[str]:
    prefix = f"a={name}:"
    return (line[len(prefix) :].strip() for line in lines if line.startswith(prefix))


def _fingerprints(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in _values(lines, "fingerprint"):
        algorithm, _, digest = value.partition(" ")
        yield algorithm.lower(), digest.strip().upper()


def _read_section(lines: Sequence[str]) -> RemoteSection:
    kind, port, protocol, formats = lines[0][2:].split(" ", 3)
    mid = next(_values(lines, "mid"), None)
    if not mid or " " in mid or len(mid) > 16 or not mid.isascii():  # it has to fit RFC 8285's one-byte form
        raise ValueError(f"{kind} section has no usable mid")
    rejected = port == "0" and "a=bundle-only" not in lines
    if kind == "application":
        return RemoteSection(
            mid=mid,
            kind=kind,
            rejected=rejected,
            sctp_port=_within(int(next(_values(lines, "sctp-port"), SCTP_PORT)), 1, 0xFFFF),
            max_message_size=_within(int(next(_values(lines, "max-message-size"), 65536)), 0, 1 << 62),
            formats=formats,
            protocol=protocol,
        )
    direction = next((name for name in _DIRECTIONS if f"a={name}" in lines), "sendrecv")
    msid = next(_values(lines, "msid"), "").split()
    return RemoteSection(
        mid=mid,
        kind=kind,
        rejected=rejected,
        client_sends=not rejected and direction in ("sendrecv", "sendonly"),
        client_receives=not rejected and direction in ("sendrecv", "recvonly"),
        track_id=msid[1] if len(msid) > 1 else None,
        codecs=tuple(_read_codecs(lines, _few(formats.split(), _MOST_FORMATS))),
        extensions=dict(_read_extensions(lines)),
        layers=tuple(_read_layers(lines)),
        reduced_size="a=rtcp-rsize" in lines,
        formats=formats,
        protocol=protocol,
    )


def _few(items: Sequence[str], most: int) -> Sequence[str]:
    if len(items) > most:
        raise ValueError(f"{len(items)} where {most} are the most")
    return items


def _within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError(f"{number} is not within {least} and {most}")
    return number


def _read_extensions(lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    for value in _values(lines, "extmap"):
        number, uri, *_ = value.split()
        identifier = int(number.partition("/")[0])
        if uri in EXTENSIONS and 1 <= identifier <= 14:
            yield uri, identifier


def _read_codecs(lines: Sequence[str], formats: Sequence[str]) -> Iterator[Codec]:
    """Yield what we can forward, in the client's order."""
    maps = dict(_numbered(_values(lines, "rtpmap")))
    parameters = dict(_numbered(_values(lines, "fmtp")))
    resends = {
        parameters.get(number, "").removeprefix("apt=").partition(";")[0]: int(number)
        for number in formats
        if maps.get(number, "").lower().startswith("rtx/") and 0 <= int(number) <= 127
    }
    feedback: dict[str, set[str]] = {}
    for number, value in _numbered(_values(lines, "rtcp-fb")):
        feedback.setdefault(number, set()).add(value)
    wildcard = feedback.get("*", set())
    for number in formats:
        name, clock_rate, *rest = maps.get(number, "/").split("/")
        forwarded = _forwarded_name(name, parameters.get(number, ""))
        if forwarded is None or int(clock_rate) != CLOCK_RATES[forwarded] or not 0 <= int(number) <= 127:
            continue
        offered = wildcard | feedback.get(number, set())
        yield Codec(
            name=forwarded,
            payload_type=int(number),
            clock_rate=int(clock_rate),
            channels=int(rest[0]) if rest else None,
            parameters=parameters.get(number, ""),
            feedback=tuple(value for value in FEEDBACK if value in offered),
            rtx=resends.get(number),
        )


def _numbered(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        number, _, rest = value.partition(" ")
        yield number, rest.strip()


def _forwarded_name(name: str, parameters: str) -> str | None:
    if name.lower() == "opus":
        return "opus"
    if name.upper() == "VP8":
        return "VP8"
    if name.upper() == "H264" and _is_constrained_baseline(parameters):
        return "H264"
    return None


def _is_constrained_baseline(parameters: str) -> bool:
    """Tell it by profile_idc 0x42 with constraint_set1 (RFC 6184, 8.1, table 5), packetization mode 1."""
    given = dict(item.strip().partition("=")[::2] for item in parameters.split(";"))
    profile = given.get("profile-level-id", "42e01f").lower()
    constraints = int(profile[2:4], 16) if len(profile) == 6 else 0
    return profile[:2] == "42" and bool(constraints & 0x40) and given.get("packetization-mode", "0") == "1"


def _read_layers(lines: Sequence[str]) -> Iterator[Layer]:
    """Yield the streams in the order of the SIM group, else of the lines; RTX partners come from FID groups."""
    named = _few(list(dict.fromkeys(value.split()[0] for value in _values(lines, "ssrc"))), _MOST_STREAMS)
    groups = [value.split() for value in _values(lines, "ssrc-group")]
    resends = {int(group[1]): int(group[2]) for group in groups if group[0] == "FID" and len(group) == 3}
    simulcast = next((_few(group[1:], _MOST_STREAMS) for group in groups if group[0] == "SIM"), [])
    resending = set(resends.values())
    for ssrc in dict.fromkeys(int(ssrc) for ssrc in (*simulcast, *named)):
        if ssrc not in resending:
            yield Layer(ssrc=ssrc, rtx_ssrc=resends.get(ssrc))


def choose_codecs(offered: Sequence[Codec], preference: Sequence[str]) -> tuple[Codec, ...]:
    """Return one codec of each name, the room's preferred names first: the client sends with the first (4.9)."""
    first: dict[str, Codec] = {}
    for codec in offered:
        first.setdefault(codec.name, codec)
    wanted = [name for name in (*preference, "opus") if name in first]
    return tuple(first[name] for name in dict.fromkeys(wanted))


# --- writing --------------------------------------------------------------------------------------------------------


def write_description(
    sections: Sequence[LocalSection], transport: LocalTransport, *, setup: str, session_id: int, version: int
) -> str:
    """Return our offer (`setup` "actpass") or answer ("passive") with CRLF line ends, which the SDK needs (10.10)."""
    bundled = " ".join(section.mid for section in sections if not section.rejected)
    lines = [
        "v=0",
        f"o=- {session_id} {version} IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {bundled}",
        "a=msid-semantic:WMS *",
    ]
    for section in sections:
        lines += _write_section(section, transport, setup)
    return "\r\n".join(lines) + "\r\n"


def _write_section(section: LocalSection, transport: LocalTransport, setup: str) -> list[str]:
    host, port = transport.addresses[0]
    family = "IP6" if ":" in host else "IP4"
    if section.rejected:
        return [
            f"m={section.kind} 0 {section.protocol} {section.formats}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{section.mid}",
            "a=inactive",
        ]
    common = [
        f"c=IN {family} {host}",
        f"a=mid:{section.mid}",
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.password}",
        f"a=fingerprint:sha-256 {transport.fingerprint}",
        f"a=setup:{setup}",
        *(_candidate(number, address) for number, address in enumerate(transport.addresses)),
        "a=end-of-candidates",
    ]
    if section.kind == "application":
        return [
            f"m=application {port} {section.protocol} {section.formats or 'webrtc-datachannel'}",
            *common,
            f"a=sctp-port:{SCTP_PORT}",
            f"a=max-message-size:{MAX_MESSAGE_SIZE}",
        ]
    numbers = [str(n) for codec in section.codecs for n in (codec.payload_type, codec.rtx) if n is not None]
    return [
        f"m={section.kind} {port} {section.protocol} {' '.join(numbers)}",
        *common,
        *_write_media(section),
    ]


def _candidate(number: int, address: tuple[str, int]) -> str:
    host, port = address
    priority = 126 << 24 | (65535 - number) << 8 | 255  # RFC 8445, 5.1.2.1: a host candidate, ours in order
    return f"a=candidate:{number + 1} 1 udp {priority} {host} {port} typ host"


def _write_media(section: LocalSection) -> Iterator[str]:
    yield (
        "a="
        + {
            (True, True): "sendrecv",
            (True, False): "sendonly",
            (False, True): "recvonly",
            (False, False): "inactive",
        }[section.we_send, section.we_receive]
    )
    yield "a=rtcp-mux"
    if section.reduced_size:
        yield "a=rtcp-rsize"
    for uri, identifier in section.extensions.items():
        yield f"a=extmap:{identifier} {uri}"
    if section.we_send and section.msid is not None:
        yield f"a=msid:{section.msid[0]} {section.msid[1]}"
        yield from _write_ssrcs(section)
    for codec in section.codecs:
        channels = f"/{codec.channels}" if codec.channels else ""
        yield f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"
        yield from (f"a=rtcp-fb:{codec.payload_type} {value}" for value in codec.feedback)
        if codec.parameters:
            yield f"a=fmtp:{codec.payload_type} {codec.parameters}"
        if codec.rtx is not None:
            yield f"a=rtpmap:{codec.rtx} rtx/{codec.clock_rate}"
            yield f"a=fmtp:{codec.rtx} apt={codec.payload_type}"


def _write_ssrcs(section: LocalSection) -> Iterator[str]:
    if section.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}"
    yield f"a=ssrc:{section.ssrc} cname:{section.cname}"
    if section.rtx_ssrc is not None:
        yield f"a=ssrc:{section.rtx_ssrc} cname:{section.cname}"
