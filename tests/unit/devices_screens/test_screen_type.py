"""Text: runs by script, direction, the ink on the edge, tracking, and names that fit."""

import shutil

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.devices.screens import type as typesetting
from appliance.devices.screens.fit import largest, shorten, shorten_name, wrap
from appliance.devices.screens.items import Words
from appliance.devices.screens.look import WALL
from appliance.devices.screens.textures import Scale
from appliance.devices.screens.type import is_right_to_left, runs

fonts = pytest.mark.skipif(
    shutil.which("fc-match") is None or typesetting.font_file("Inter", "Medium") is None,
    reason="no fonts are installed",
)
SCALE = Scale(WALL, 1080)


def scripts(text: str) -> list[tuple[str, str]]:
    return [(run.script, run.text) for run in runs(text)]


def test_text_is_cut_where_its_script_changes() -> None:
    assert scripts("Amara") == [("LATIN", "Amara")]
    assert scripts("林 美玲 (Lin)") == [("CJK", "林 美玲 ("), ("LATIN", "Lin)")]
    assert scripts("Zoë 🌻!") == [("LATIN", "Zoë "), ("EMOJI", "🌻!")]
    assert scripts("14:32") == [("LATIN", "14:32")]
    assert scripts("") == []


def test_accents_stay_with_their_letters() -> None:
    assert scripts("e\u0301a") == [("LATIN", "e\u0301a")]


@given(st.text())
def test_no_letter_is_lost_or_moved(text: str) -> None:
    assert "".join(run.text for run in runs(text)) == text


def test_the_first_strong_letter_sets_the_direction() -> None:
    assert is_right_to_left("ليلى حداد")
    assert is_right_to_left("12 דנה")
    assert not is_right_to_left("Dana דנה")
    assert not is_right_to_left("14:32")


def ink_of(item: Words) -> tuple[int, int]:
    """Return the first and last column that is inked, in px of the screen."""
    (sprite,) = SCALE.sprites(item)
    assert sprite.make is not None
    alpha = numpy.asarray(sprite.make())[:, :, 3]
    columns = numpy.flatnonzero(alpha.max(axis=0) > 127)
    return sprite.box.x + int(columns[0]), sprite.box.x + int(columns[-1])


def rows_of(item: Words) -> tuple[int, int]:
    (sprite,) = SCALE.sprites(item)
    assert sprite.make is not None
    alpha = numpy.asarray(sprite.make())[:, :, 3]
    rows = numpy.flatnonzero(alpha.max(axis=1) > 127)
    return sprite.box.y + int(rows[0]), sprite.box.y + int(rows[-1])


@fonts
def test_name_clock_and_date_share_one_edge() -> None:
    edges = [
        ink_of(Words(8, 19.3, "Harbour", "hero"))[0],
        ink_of(Words(8, 115, "14:32", "clock"))[0],
        ink_of(Words(8, 29.3, "Dienstag, 3. März", "body"))[0],
    ]
    assert all(63 <= edge <= 65 for edge in edges), edges


@fonts
def test_capitals_stand_on_the_baseline() -> None:
    top, bottom = rows_of(Words(8, 100, "H", "hero"))
    assert bottom == 799, "the last row above y = 800"
    assert top == pytest.approx(800 - 0.727 * 128, abs=2)


@fonts
def test_right_anchored_text_ends_where_it_should() -> None:
    assert ink_of(Words(232, 130, "14:32", "body", anchor="right"))[1] == pytest.approx(232 * 8, abs=6)


@fonts
def test_clocks_do_not_wobble() -> None:
    widths = [SCALE.width(f"1{n}:{n}{n}", "body") for n in range(10)]
    assert max(widths) - min(widths) < 0.25 / 8, "a quarter of a pixel"


@fonts
def test_large_roles_are_tracked_and_joined_scripts_are_not() -> None:
    assert SCALE.width("Harbour", "hero", tracking=0) > SCALE.width("Harbour", "hero")
    assert SCALE.width("حداد", "hero", tracking=0) == SCALE.width("حداد", "hero")


@fonts
def test_text_in_any_script_is_drawn(caplog: pytest.LogCaptureFixture) -> None:
    for text in ("ليلى حداد", "林 美玲", "Юлия", "Ελένη", "דנה", "प्रिया", "Zoë 🌻"):
        left, right = ink_of(Words(8, 60, text, "name"))
        assert right > left, text


def test_without_any_font_text_is_still_drawn_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_fontconfig(*_: object, **__: object) -> None:
        raise FileNotFoundError("fc-match")

    for cached in (typesetting.font_file, typesetting.face, typesetting.set_line):
        cached.cache_clear()
    monkeypatch.setattr(typesetting.subprocess, "run", no_fontconfig)
    try:
        left, right = ink_of(Words(8, 60, "Harbour", "hero"))
    finally:
        for cached in (typesetting.font_file, typesetting.face, typesetting.set_line):
            cached.cache_clear()
    assert right > left
    assert "fonts cannot be looked up" in caplog.text


@fonts
def test_a_family_that_is_not_installed_is_named_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    typesetting.font_file.cache_clear()
    for _ in range(3):
        assert typesetting.font_file("No Such Family", "Medium") is not None
    assert caplog.text.count("'No Such Family' is not installed") == 1


@fonts
def test_names_lose_the_middle_of_the_family_name_never_the_given_name() -> None:
    name = "Alexandra Papadopoulou-Konstantinidou"
    short = shorten_name(SCALE, name, "name", 60)
    assert short.startswith("Alexandra Pa")
    assert short.endswith("ou")
    assert "…" in short
    assert SCALE.width(short, "name") <= 60
    assert shorten_name(SCALE, "Ana", "name", 60) == "Ana"


@fonts
@given(st.text(min_size=1, max_size=40), st.floats(8, 80))
def test_shortened_text_fits(text: str, room: float) -> None:
    short = shorten(SCALE, text, "name", room)
    assert short == text or short == "…" or SCALE.width(short, "name") <= room


@fonts
def test_long_titles_go_on_two_lines_then_get_smaller_then_end_in_dots() -> None:
    one = largest(SCALE, "Lobby", "hero", 104, (22, 16, 13), most_lines=2)
    two = largest(SCALE, "Studio Lisbon", "hero", 104, (22, 16, 13), most_lines=2)
    smaller = largest(SCALE, "Conference Headquarters", "hero", 104, (22, 16, 13), most_lines=2)
    least = largest(SCALE, "Donaudampfschifffahrtsgesellschaft am See", "hero", 60, (22, 16, 13), most_lines=2)
    assert one == (22, ["Lobby"])
    assert two == (22, ["Studio", "Lisbon"])
    assert smaller[0] < 22
    assert least[0] == 13
    assert least[1][0].endswith("…")


@fonts
def test_lines_break_at_spaces() -> None:
    assert wrap(SCALE, "Mit dem Telefon teilnehmen", "strong", 61) == ["Mit dem Telefon", "teilnehmen"]
