"""Pictures of shapes: QR codes that can be read back, round corners, light, icons."""

import numpy
import pytest
import segno
from PIL import Image

from appliance.devices.screens import icons, shapes
from appliance.devices.screens.look import RGB

PAPER = RGB["paper"]
LINK = "https://rooms.example/join/harbour#eyJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiaGFyYm91ciJ9.c2lnbmF0dXJl"


def modules_of(image: Image.Image) -> list[list[int]]:
    """Read a code as a scanner would: find the dark square, then the size of a module by the finder pattern."""
    dark = numpy.asarray(image.convert("L")) < 128
    rows, columns = numpy.flatnonzero(dark.any(axis=1)), numpy.flatnonzero(dark.any(axis=0))
    top, left, right = int(rows[0]), int(columns[0]), int(columns[-1]) + 1
    finder = int(numpy.argmin(dark[top, left:]))  # its upper edge is seven modules of ink
    module, rest = divmod(finder, 7)
    assert rest == 0, "modules are whole pixels"
    count, rest = divmod(right - left, module)
    assert rest == 0
    half = module // 2
    return [[int(dark[top + half + y * module, left + half + x * module]) for x in range(count)] for y in range(count)]


@pytest.mark.parametrize("size", [304, 203, 136, 608])
def test_a_code_reads_back_as_the_link_at_level_m(size: int) -> None:
    image = shapes.plate(size, 16 * size / 304, 20 * size / 304, LINK)
    expected = segno.make_qr(LINK, error="m", boost_error=False)
    assert modules_of(image.convert("RGB")) == [list(row) for row in expected.matrix]
    assert expected.error == "M"


def test_a_code_stands_in_the_middle_of_a_quiet_margin() -> None:
    image = shapes.plate(304, 16, 20, LINK)
    dark = numpy.asarray(image.convert("L")) < 128
    inside = dark[4:-4, 4:-4]
    rows = numpy.flatnonzero(inside.any(axis=1))
    above, below = int(rows[0]) + 4, 304 - 4 - int(rows[-1]) - 1
    assert above >= 20
    assert abs(above - below) <= 1


def test_a_link_that_no_code_can_hold_leaves_a_bare_plate(caplog: pytest.LogCaptureFixture) -> None:
    assert shapes.modules("x" * 5000) is None
    assert "5000 characters" in caplog.text
    assert shapes.plate(100, 5, 5, "x" * 5000).getpixel((50, 50)) == (*PAPER, 255)


def test_panels_are_full_inside_and_empty_at_their_corners() -> None:
    panel = shapes.panel(80, 40, 16, "muted")
    assert panel.getpixel((40, 20)) == (*RGB["muted"], 255)
    assert panel.getpixel((0, 0))[3] == 0  # type: ignore[index]
    outline = shapes.panel(80, 40, 16, "soft", stroke=4)
    assert outline.getpixel((40, 20))[3] == 0  # type: ignore[index]
    assert outline.getpixel((40, 1))[3] == 255  # type: ignore[index]


def test_a_corner_mask_is_the_other_side_of_a_panel() -> None:
    mask, panel = shapes.corner_mask(80, 40, 16), shapes.panel(80, 40, 16, "ink")
    together = numpy.asarray(mask)[:, :, 3].astype(int) + numpy.asarray(panel)[:, :, 3]
    assert (together == 255).all()


def test_light_is_strongest_at_the_line_and_gone_at_its_reach_and_towards_the_middle() -> None:
    up = numpy.asarray(shapes.glow(56, 80, True, "live", "right"))[:, :, 3]
    assert up[-1, 0] == pytest.approx(0.24 * 255, abs=2)
    assert up[0, 0] <= 1
    assert up[-1, -1] == 0
    down = numpy.asarray(shapes.glow(24, 80, False, "paper", "left"))[:, :, 3]
    assert down[0, -1] == pytest.approx(0.16 * 255, abs=2)
    assert (numpy.diff(down[:, -1].astype(int)) <= 0).all()


@pytest.mark.parametrize("name", sorted(icons.symbols()))
@pytest.mark.parametrize("size", [55, 28])
def test_every_icon_is_drawn_inside_its_square(name: str, size: int) -> None:
    alpha = numpy.asarray(icons.mask(name, size)).astype(int)
    assert alpha.shape == (size, size)
    assert 0.03 < (alpha > 127).mean() < 0.6


def test_an_off_icon_is_the_same_glyph_cut_by_a_diagonal() -> None:
    on, off = (numpy.asarray(icons.mask(name, 96)) > 127 for name in ("mic", "mic-off"))
    assert off[44, 46], "the diagonal"
    assert not off[44 - 9, 46 + 3], "air beside it"
    assert (on & ~off).any()


def test_bars_that_are_missing_stay_faint() -> None:
    two = numpy.asarray(icons.mask("signal", 96, bars=2)).astype(int)
    lit, missing = two[80, 16], two[80, 79]
    assert lit == 255
    assert missing == pytest.approx(0.28 * 255, abs=6)


def test_an_icon_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="anchor"):
        icons.mask("anchor", 24)
