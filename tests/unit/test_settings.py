"""Settings files: what is read, and how every problem is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ConfigurationError
from appliance.settings import Between, Length, Matches, Problem, Secret, key_lines, load_settings, parse_settings


class Mode(StrEnum):
    MANUAL = "manual"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    mute_pin: Annotated[int, Between(0, 27)] = 17
    leave_pin: Annotated[int, Between(0, 27)] | None = 27

    def problems(self) -> Iterator[Problem]:
        if self.mute_pin == self.leave_pin:
            yield Problem("leave_pin", "already used by pins.mute_pin", "choose another BCM pin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    name: Annotated[str, Length(1, 64)]
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    mode: Mode = Mode.MANUAL
    fps: Annotated[int, Between(5, 30)] = 30
    gain: float = 1.0
    on: bool = True
    encoder: Literal["auto", "software"] = "auto"
    groups: tuple[str, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)
    state: Path = Path("/var/lib/room-kiosk")
    pins: Pins = field(default_factory=Pins)
    dial: tuple[Dial, ...] = ()
    url: Annotated[str, Matches(r"mqtts://.*", "unencrypted")] = "mqtts://broker"
    password_file: Path | None = None
    phrase: Annotated[str, Secret(), Length(8, 99)] = "long enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needy:
    url: str


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Example, [("kiosk.toml", text)])
    return caught.value.problems


def read(text: str) -> Example:
    return parse_settings(Example, [("kiosk.toml", text)])


def test_no_file_gives_the_defaults() -> None:
    assert load_settings(Example, []) == Example()


def test_every_type_is_read() -> None:
    settings = read(
        """
        mode = "always"
        fps = 15
        gain = 2
        on = false
        encoder = "software"
        groups = ["a", "b"]
        names = { one = 1 }
        state = "/tmp/x"
        pins.mute_pin = 4
        [[dial]]
        name = "Ann"
        room = "hall"
        """
    )

    assert settings == Example(
        mode=Mode.ALWAYS,
        fps=15,
        gain=2.0,
        on=False,
        encoder="software",
        groups=("a", "b"),
        names={"one": 1},
        state=Path("/tmp/x"),
        pins=Pins(mute_pin=4),
        dial=(Dial(name="Ann", room="hall"),),
    )
    assert isinstance(settings.gain, float)


def test_a_later_file_wins_key_by_key() -> None:
    texts = [("a.toml", "fps = 10\n[pins]\nmute_pin = 1"), ("b.toml", "[pins]\nleave_pin = 2")]

    assert parse_settings(Example, texts) == Example(fps=10, pins=Pins(mute_pin=1, leave_pin=2))


def test_all_problems_are_told_together_each_with_its_line() -> None:
    text = 'fps = 60\ngroups = [\n  "a",\n]\ngian = 1.0\n\n[pins]\nmute_pin = "x"\n'

    assert problems(text) == [
        "kiosk.toml:1: fps = 60: must be between 5 and 30",
        "kiosk.toml:5: gian: unknown key; did you mean gain?",
        'kiosk.toml:8: pins.mute_pin = "x": must be a whole number',
    ]


def test_what_two_keys_break_together_is_told_at_the_second() -> None:
    assert problems("[pins]\nmute_pin = 22\nleave_pin = 22") == [
        "kiosk.toml:3: pins.leave_pin = 22: already used by pins.mute_pin (choose another BCM pin)"
    ]


def test_an_unknown_key_in_a_table_is_told_with_its_table() -> None:
    assert problems("[pins]\nmute_pn = 3") == ["kiosk.toml:2: pins.mute_pn: unknown key; did you mean pins.mute_pin?"]


def test_a_wrong_choice_gets_the_choices_and_the_nearest() -> None:
    assert problems('mode = "allways"') == [
        'kiosk.toml:1: mode = "allways": must be one of manual, always (did you mean always?)'
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("fps = true", "must be a whole number"),
        ("fps = 15.0", "must be a whole number"),
        ("on = 1", "must be true or false"),
        ('gain = "1"', "must be a number"),
        ('groups = "a"', "must be a list"),
        ("groups = [1]", "must be a text"),
        ("pins = 3", "must be a table"),
        ("names = { a = 'x' }", "must be a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(text: str, rule: str) -> None:
    (problem,) = problems(text)

    assert problem.startswith("kiosk.toml:1: ")
    assert problem.endswith(rule)


def test_the_entry_of_a_list_of_tables_is_named_by_its_place() -> None:
    text = '[[dial]]\nname = "a"\nroom = "b"\n[[dial]]\nname = ""\nroom = "c"\n[[dial]]\nname = "d"\n'

    assert problems(text) == [
        'kiosk.toml:5: dial[1].name = "": must have 1 to 64 characters',
        "kiosk.toml:7: dial[2].room: must be set",
    ]


def test_a_missing_key_is_told_with_the_file() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Needy, [("kiosk.toml", "")])

    assert caught.value.problems == ["kiosk.toml: url: must be set"]


def test_an_address_is_not_printed_beyond_its_scheme() -> None:
    assert problems('url = "mqtt://user:secret@host"') == ['kiosk.toml:1: url = "mqtt://...": unencrypted']


def test_a_secret_is_never_printed() -> None:
    assert problems('phrase = "short"') == ["kiosk.toml:1: phrase: must have 8 to 99 characters"]


def test_broken_toml_is_told_with_its_line() -> None:
    (problem,) = problems("fps = 5\nmode = = 3\n")

    assert problem.startswith("kiosk.toml:2: not valid TOML: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_settings(Example, [tmp_path / "nowhere.toml"])


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'mode = "\xe9"')

    with pytest.raises(ConfigurationError, match=r"latin\.toml: not UTF-8"):
        load_settings(Example, [tmp_path / "latin.toml"])


def test_lines_are_found_through_multi_line_values_and_dotted_keys() -> None:
    text = 'a.b = 1\nc = """\n[x]\ny = 2\n"""\n"quoted.key" = 1\n[t.u]\nd = [\n 1,\n 2 ]\ne = {f = 1}\n'

    lines = key_lines(text)

    assert {key: lines[key] for key in ("a.b", "c", "quoted.key", "t.u", "t.u.d", "t.u.e.f")} == {
        "a.b": 1,
        "c": 2,
        "quoted.key": 6,
        "t.u": 7,
        "t.u.d": 8,
        "t.u.e.f": 11,
    }
    assert "x" not in lines


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    outcome: Example | ConfigurationError
    try:
        outcome = read(text)
    except ConfigurationError as error:
        outcome = error

    assert isinstance(outcome, Example) or outcome.problems
