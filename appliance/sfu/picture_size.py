"""How large the pictures of a stream are, told by its key frames. Pure."""

from appliance.media_engine import Dimensions
from appliance.sfu.vp8 import keyframe_size

_SPS = 7
_STAP_A = 24
_MOST_MACROBLOCKS = 1024  # a side of 16384 pixels
_CHROMA_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128)


def picture_size(codec: str, payload: bytes) -> Dimensions | None:
    """Return the size of the picture that this packet begins, None where it tells none.

    `codec` is "VP8" or "H264"; the latter tells it in a sequence parameter set, alone or in a STAP-A (RFC 6184, 5.7.1).
    """
    if codec == "VP8":
        return keyframe_size(payload)
    if codec == "H264":
        return next((size for unit in _parameter_sets(payload) if (size := _sps_size(unit)) is not None), None)
    return None


def _parameter_sets(payload: bytes) -> list[bytes]:
    if not payload:
        return []
    kind = payload[0] & 0x1F
    if kind == _SPS:
        return [payload]
    found = []
    position = 1
    while kind == _STAP_A and position + 2 < len(payload):
        size = int.from_bytes(payload[position : position + 2], "big")
        unit = payload[position + 2 : position + 2 + size]
        if unit and unit[0] & 0x1F == _SPS:
            found.append(unit)
        position += 2 + size
    return found


class _Bits:
    """Reads an RBSP (ITU-T H.264, 7.3 and 9.1); raises IndexError where it ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data.replace(b"\x00\x00\x03", b"\x00\x00")  # emulation prevention
        self._position = 0

    def flag(self) -> int:
        byte = self._data[self._position >> 3]
        bit = byte >> (7 - (self._position & 7)) & 1
        self._position += 1
        return bit

    def number(self, width: int) -> int:
        value = 0
        for _ in range(width):
            value = value << 1 | self.flag()
        return value

    def golomb(self) -> int:
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 31:
                raise IndexError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.number(zeros)


def _sps_size(unit: bytes) -> Dimensions | None:
    """Read a sequence parameter set (ITU-T H.264, 7.3.2.1.1) as far as the size."""
    try:
        return _read_sps(_Bits(unit[1:]))
    except IndexError:
        return None


def _read_sps(bits: _Bits) -> Dimensions | None:
    profile = bits.number(8)
    bits.number(16)  # constraints and level
    bits.golomb()  # its id
    chroma_format = 1
    if profile in _CHROMA_PROFILES:
        chroma_format = bits.golomb()
        if chroma_format == 3 and bits.flag():
            return None
        bits.golomb()
        bits.golomb()
        bits.flag()
        if bits.flag():
            return None  # scaling lists: no camera sends them
    bits.golomb()  # log2_max_frame_num
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.flag()
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb()  # max_num_ref_frames
    bits.flag()
    columns, rows = bits.golomb() + 1, bits.golomb() + 1
    frames_only = bits.flag()
    if not frames_only:
        bits.flag()
    bits.flag()
    left = right = top = bottom = 0
    if bits.flag():
        left, right, top, bottom = (bits.golomb() for _ in range(4))
    if columns > _MOST_MACROBLOCKS or rows > _MOST_MACROBLOCKS:
        return None
    across = 2 if chroma_format in (1, 2) else 1
    down = (2 if chroma_format == 1 else 1) * (2 - frames_only)
    width = columns * 16 - (left + right) * across
    height = rows * 16 * (2 - frames_only) - (top + bottom) * down
    return Dimensions(width=width, height=height) if width > 0 and height > 0 else None
