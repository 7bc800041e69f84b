"""Text as pictures: fonts by name, runs by script, the ink on the edge.

Pillow has no fallback from font to font, so text is cut into runs by script and each run is shaped by raqm with a font
that has its letters. Large roles are tracked glyph by glyph, and only where letters do not join.
"""

import logging
import subprocess
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

from PIL import Image, ImageDraw, ImageFont, features

from .look import Face

log = logging.getLogger(__name__)

TRACKED_SCRIPTS = frozenset({"LATIN", "GREEK", "CYRILLIC"})
CJK_SCRIPTS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"})
RIGHT_TO_LEFT = frozenset({"R", "AL"})
EMOJI_PX = 109  # the only size Noto Color Emoji has
ELLIPSIS = "…"
LONGEST_LINE = 400  # letters; more are never seen
JOINERS = "\u200c\u200d\ufe0f"
FAKE_BOLD = 1 / 56  # em on each side

# Where Inter has no letters: the family to ask for, by the first word of a letter's Unicode name.
FAMILIES = {"ARABIC": "Noto Sans Arabic", "EMOJI": "Noto Color Emoji", **dict.fromkeys(CJK_SCRIPTS, "Noto Sans CJK SC")}


@dataclass(frozen=True, slots=True)
class Run:
    """Letters of one script, in the order they are written in."""

    script: str
    text: str

    @property
    def right_to_left(self) -> bool:
        """Whether its first strong letter runs from right to left."""
        return is_right_to_left(self.text)


def is_right_to_left(text: str) -> bool:
    """Return the direction of a text: that of its first strong letter (UAX 9, P2)."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind == "L" or kind in RIGHT_TO_LEFT:
            return kind in RIGHT_TO_LEFT
    return False


def script_of(letter: str) -> str | None:
    """Return the script of a letter, EMOJI for pictures, None for what fits any (figures, spaces, most signs)."""
    point = ord(letter)
    if 0x1F000 <= point <= 0x1FAFF or 0x2600 <= point <= 0x27BF or point == 0xFE0F or point == 0x200D:
        return "EMOJI"
    if unicodedata.category(letter)[0] in "LM":
        name = unicodedata.name(letter, "LATIN")
        return "LATIN" if name.startswith(("COMBINING", "MODIFIER")) else name.split(" ", 1)[0].split("-", 1)[0]
    return "CJK" if 0x3000 <= point <= 0x303F or 0xFF00 <= point <= 0xFF65 else None


def runs(text: str) -> list[Run]:
    """Cut a text where its script changes; what fits any script stays with what is before it."""
    found: list[Run] = []
    current, start = None, 0
    for at, letter in enumerate(text):
        script = script_of(letter)
        if script is None or script == current:
            continue
        if current is not None:
            found.append(Run(current, text[start:at]))
            start = at
        current = script
    if start < len(text):
        found.append(Run(current or "LATIN", text[start:]))
    return found


@lru_cache(maxsize=256)
def font_file(family: str, style: str, letter: str = "") -> tuple[str, int] | None:
    """Ask fontconfig for a face by name, as packages move their files; None where it knows no font at all.

    Args:
        letter: what the font must be able to draw, if not empty.
    """
    pattern = f"{family}:style={style}" + (f":charset={ord(letter):x}" if letter else "")
    try:
        answer = subprocess.run(
            ["fc-match", "-f", "%{file}\t%{index}\t%{family}", pattern], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("fonts cannot be looked up (%s); drawing with Pillow's own", error)
        return None
    file, index, families = [*answer.split("\t"), "", "", ""][:3]
    if not file:
        log.warning("no font at all for %s; drawing with Pillow's own", pattern)
        return None
    if family not in families.split(","):
        log.warning("font %r is not installed, %r stands in", family, families)
    return file, int(index or 0) & 0xFFFF  # the upper half numbers a named instance of a variable font


@lru_cache(maxsize=256)
def face(family: str, style: str, size: int, letter: str = "") -> ImageFont.FreeTypeFont:
    """Return a font of `size` px; whatever is installed, and at worst Pillow's own."""
    engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    found = font_file(family, style, letter)
    if found is not None:
        try:
            return ImageFont.truetype(found[0], size, index=found[1], layout_engine=engine)
        except OSError as error:
            log.warning("font %s cannot be used: %s", found[0], error)
    fallback = ImageFont.load_default(size)
    assert isinstance(fallback, ImageFont.FreeTypeFont)
    return fallback


@dataclass(frozen=True, slots=True)
class _Piece:
    """Letters drawn in one go, `at` px from where the line's advance begins."""

    at: float
    text: str
    font: ImageFont.FreeTypeFont
    features: tuple[str, ...]
    direction: str | None
    emoji_scale: float = 0.0  # 0: not emoji
    tracking: float = 0.0  # px from letter to letter
    stroke: float = 0.0  # px around each letter, where bold is wanted and the font has none


@dataclass(frozen=True, slots=True)
class Setting:
    """A line of text, set: pieces, where its ink begins and where its last advance ends, px from the first origin."""

    pieces: tuple[_Piece, ...]
    ink_left: float
    ink_right: float

    @property
    def width(self) -> float:
        """From the first ink to the end of the last letter, px."""
        return self.ink_right - self.ink_left


def _font_of(run: Run, style: Face, px: int) -> ImageFont.FreeTypeFont:
    if run.script in TRACKED_SCRIPTS:
        return face(style.family, style.style, px)
    letter = next((c for c in run.text if script_of(c) == run.script and c not in "\ufe0f\u200d"), "")
    return face(FAMILIES.get(run.script, "Noto Sans"), style.beside, px, letter)


def _pieces(text: str, style: Face, px: int, tracking: float, wanted: tuple[str, ...]) -> Iterator[_Piece]:
    """Yield what is drawn in one go, from left to right."""
    at = 0.0
    parts = runs(text)
    for run in reversed(parts) if is_right_to_left(text) else parts:
        if run.script == "EMOJI":
            font = _font_of(run, style, EMOJI_PX)
            scale = px * 1.17 / EMOJI_PX  # as wide as browsers draw them beside letters
            yield _Piece(at, run.text, font, (), None, scale)
            at += font.getlength(run.text) * scale
            continue
        font = _font_of(run, style, px)
        shaped = font.layout_engine == ImageFont.Layout.RAQM  # Pillow's own font is not
        asked = wanted if shaped and run.script in TRACKED_SCRIPTS else ()
        apart = tracking * px if run.script in TRACKED_SCRIPTS else 0.0
        direction = ("rtl" if run.right_to_left else "ltr") if shaped else None
        thin = run.script not in TRACKED_SCRIPTS and style.beside == "Bold" and "Bold" not in (font.getname()[1] or "")
        piece = _Piece(at, run.text, font, asked, direction, stroke=px * FAKE_BOLD if thin else 0.0, tracking=apart)
        yield piece
        at += _advance(piece) + apart


def _glyphs(piece: _Piece) -> Iterator[_Piece]:
    """Yield the letters of a tracked piece, each with its accents, at their places; another piece as it is."""
    if not piece.tracking:
        yield piece
        return
    wanted = list(piece.features) or None
    start = count = 0
    for end in range(1, len(piece.text) + 1):
        if end < len(piece.text) and unicodedata.category(piece.text[end])[0] == "M":
            continue
        letter = piece.text[start:end]
        # Up to and with this letter, less the letter: that keeps the kerning of the pair before it.
        here = piece.font.getlength(piece.text[:end], features=wanted) - piece.font.getlength(letter, features=wanted)
        yield replace(piece, at=piece.at + here + count * piece.tracking, text=letter, tracking=0.0)
        start, count = end, count + 1


def drawable(text: str) -> str:
    """Return a text without what has no shape: people's names hold anything. Joiners of letters and emoji are kept."""
    plain = (" " if letter.isspace() else letter for letter in text[:LONGEST_LINE])
    kept = unicodedata.normalize("NFC", "".join(plain))
    return "".join(c for c in kept if unicodedata.category(c)[0] != "C" or c in JOINERS)


@lru_cache(maxsize=2048)
def set_line(text: str, style: Face, px: int, tracking: float, wanted: tuple[str, ...]) -> Setting:
    """Set one line of text in a font of `px` pixels; `tracking` in em, `wanted` OpenType features."""
    try:
        pieces = tuple(_pieces(drawable(text), style, px, tracking, wanted))
    except RuntimeError as error:  # raqm says no more than that it failed
        log.warning("a text of %d letters cannot be set: %s", len(text), error)
        pieces = tuple(_pieces("?", style, px, tracking, wanted))
    if not pieces:
        return Setting((), 0.0, 0.0)
    return Setting(pieces, _ink_left(pieces[0]), pieces[-1].at + _advance(pieces[-1]))


def _advance(piece: _Piece) -> float:
    wanted = list(piece.features) or None
    length = piece.font.getlength(piece.text, features=wanted, direction=piece.direction) * (piece.emoji_scale or 1.0)
    return length + piece.tracking * (len(piece.text) - 1)


def _ink_left(piece: _Piece) -> float:
    """Return where this piece's ink begins: Pillow's box begins at the origin, so the drawn mask is looked at."""
    if piece.emoji_scale or not piece.text.strip():
        return piece.at
    first = piece.text if piece.direction == "rtl" else piece.text[0]
    wanted = list(piece.features) or None
    mask = piece.font.getmask(first, "L", features=wanted, direction=piece.direction, anchor="ls")
    inked = mask.getbbox()
    box = piece.font.getbbox(first, features=wanted, direction=piece.direction, anchor="ls")
    return piece.at + box[0] + (inked[0] if inked else 0)


def draw_line(setting: Setting, colour: tuple[int, int, int], fraction: float) -> tuple[Image.Image, int, int]:
    """Draw a set line.

    Args:
        fraction: 0..1 px, by how much its ink begins to the right of a whole pixel.
    Returns:
        RGBA, and where its upper left corner stands from (whole pixel of the ink's begin, baseline).
    """
    pad = 2
    top = max((int(-_top(piece)) for piece in setting.pieces), default=0) + pad
    bottom = max((int(_bottom(piece)) for piece in setting.pieces), default=0) + pad
    width = int(setting.width + fraction) + 2 * pad + 2
    mask = Image.new("L", (width, top + bottom))
    pen = ImageDraw.Draw(mask)
    image = Image.new("RGBA", mask.size, (*colour, 0))
    for piece in chain.from_iterable(_glyphs(run) for run in setting.pieces):
        x = pad + fraction - setting.ink_left + piece.at
        if piece.emoji_scale:
            _draw_emoji(image, piece, x, top)
        else:
            pen.text(
                (x, top), piece.text, 255, piece.font, anchor="ls",
                features=list(piece.features) or None, direction=piece.direction, stroke_width=piece.stroke,
            )  # fmt: skip
    letters = Image.new("RGBA", mask.size, (*colour, 255))
    letters.putalpha(mask)
    if any(piece.emoji_scale for piece in setting.pieces):
        letters.alpha_composite(image)
    return letters, -pad, -top


def _draw_emoji(image: Image.Image, piece: _Piece, x: float, baseline: int) -> None:
    big = Image.new("RGBA", (int(piece.font.getlength(piece.text)) + 2, EMOJI_PX * 3 // 2))
    ImageDraw.Draw(big).text((0, EMOJI_PX), piece.text, font=piece.font, anchor="ls", embedded_color=True)
    size = (max(1, round(big.width * piece.emoji_scale)), max(1, round(big.height * piece.emoji_scale)))
    small = big.resize(size, Image.Resampling.LANCZOS)
    at = (round(x), round(baseline - EMOJI_PX * piece.emoji_scale))
    image.alpha_composite(small, (max(0, at[0]), max(0, at[1])))


def _top(piece: _Piece) -> float:
    return piece.font.getbbox(piece.text, anchor="ls")[1] * (piece.emoji_scale or 1.0) - (piece.emoji_scale and 4)


def _bottom(piece: _Piece) -> float:
    return piece.font.getbbox(piece.text, anchor="ls")[3] * (piece.emoji_scale or 1.0) + (piece.emoji_scale and 8)
