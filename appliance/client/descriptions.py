"""What the client reads out of a session description by itself. Pure.

The stack (aiortc) negotiates; these few lines are read from the text because the wire binds by them:
mid and msid (signaling.md 3.2), ice-lite and ufrag (4.6).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One m-section of a description.

    `track_id` is the last token of the section-level `a=msid` (signaling.md 3.2), None without one. `repairs` maps
    SSRCs of retransmissions to those that they repair (`a=ssrc-group:FID`, RFC 5576, 4.2).
    """

    kind: str
    mid: str
    direction: str
    track_id: str | None
    codecs: tuple[str, ...]
    ssrcs: tuple[int, ...] = ()
    repairs: Mapping[int, int] = field(default_factory=dict)

    @property
    def sends(self) -> bool:
        """Whether the describing end sends on this section."""
        return self.direction in ("sendrecv", "sendonly")


def sections(sdp: str) -> tuple[Section, ...]:
    """Return the sections in their order; lines we do not know pass by."""
    _, *parts = re.split(r"(?:^|\r?\n)m=", sdp)
    return tuple(_section(part.splitlines()) for part in parts)


def _section(lines: list[str]) -> Section:
    kind, _, numbers = (lines[0] if lines else "").partition(" ")
    mid, direction, track_id = "", "sendrecv", None  # sendrecv where nothing is said: RFC 8866, 6.7
    names: dict[str, str] = {}
    ssrcs: dict[int, None] = {}
    repairs: dict[int, int] = {}
    for line in lines[1:]:
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "mid":
            mid = value.strip()
        elif name == "msid":
            track_id = value.split()[-1] if value.split() else None
        elif name == "rtpmap":
            number, _, codec = value.partition(" ")
            names[number] = codec.partition("/")[0].upper()
        elif name == "ssrc" and (found := re.match(r"[0-9]{1,10}", value)):
            ssrcs[int(found.group())] = None
        elif name == "ssrc-group" and (pair := re.fullmatch(r"FID ([0-9]{1,10}) ([0-9]{1,10})\s*", value)):
            repairs[int(pair.group(2))] = int(pair.group(1))
        elif name in _DIRECTIONS and not value:
            direction = name
    codecs = tuple(names[number] for number in numbers.split()[2:] if number in names)
    return Section(
        kind=kind,
        mid=mid,
        direction=direction,
        track_id=track_id,
        codecs=codecs,
        ssrcs=tuple(ssrcs),
        repairs=repairs,
    )


def is_ice_lite(sdp: str) -> bool:
    return re.search(r"^a=ice-lite\s*$", sdp, re.MULTILINE) is not None


def ice_ufrag(sdp: str) -> str | None:
    """Return the first `a=ice-ufrag`, which names the generation of candidates (signaling.md 4.6)."""
    found = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    return found.group(1) if found else None
