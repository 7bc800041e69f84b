"""Typed reads from JSON."""

from enum import StrEnum
from typing import Any

import pytest

from appliance.errors import RemoteProtocolError
from appliance.signaling import fields


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def reason(read: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        read(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "k: must be text, not null"),
        (True, "k: must be text, not a boolean"),
        (1, "k: must be text, not a number"),
        ([], "k: must be text, not an array"),
        ({}, "k: must be text, not an object"),
        ("a\0b", "k: holds a character that is no text"),
        ("\ud800", "k: holds a character that is no text"),
    ],
)
def test_what_is_no_text_is_named(value: object, complaint: str) -> None:
    assert reason(fields.text, {"k": value}, "k") == complaint


def test_text_may_be_empty_and_of_any_language() -> None:
    assert fields.text({"k": ""}, "k") == ""
    assert fields.text({"k": "Büro 会議 🎥"}, "k") == "Büro 会議 🎥"


def test_what_is_missing_is_named() -> None:
    assert reason(fields.text, {}, "k") == "k: missing"
    assert reason(fields.part, {}, "k", lambda data: data) == "k: missing"
    assert reason(fields.required_parts, {}, "k", lambda data: data) == "k: missing"


def test_optional_values_may_be_absent_or_null() -> None:
    for data in ({}, {"k": None}):
        assert fields.optional_text(data, "k") is None
        assert fields.optional_number(data, "k") is None
        assert fields.optional_integer(data, "k") is None
        assert fields.optional_choice(data, "k", Colour) is None
        assert fields.optional_part(data, "k", dict) is None
        assert fields.optional_parts(data, "k", dict) is None
        assert fields.parts(data, "k", dict) == ()
        assert fields.texts(data, "k") == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), 10**400])
def test_numbers_that_javascript_cannot_count_are_out_of_range(value: float) -> None:
    assert reason(fields.number, {"k": value}, "k") == "k: out of range"
    assert reason(fields.integer, {"k": value}, "k") == "k: out of range"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [(True, "must be a number, not a boolean"), ("1", "must be a number, not text"), (1.5, "must be a whole number")],
)
def test_what_is_no_whole_number_is_named(value: object, complaint: str) -> None:
    assert reason(fields.integer, {"k": value}, "k") == f"k: {complaint}"


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert fields.integer({"k": 3.0}, "k") == 3


def test_a_least_value_is_kept() -> None:
    assert fields.integer({"k": 1}, "k", least=1) == 1
    assert reason(fields.integer, {"k": 0}, "k", least=1) == "k: must be at least 1"


def test_a_choice_names_what_it_may_be_and_shows_little_of_what_it_was() -> None:
    assert fields.choice({"k": "red"}, "k", Colour) is Colour.RED
    assert fields.choice({}, "k", Colour, default=Colour.BLUE) is Colour.BLUE
    assert reason(fields.choice, {"k": "green"}, "k", Colour) == "k: must be one of red, blue, not 'green'"
    assert len(reason(fields.choice, {"k": "\n" * 10_000}, "k", Colour)) < 200


def test_a_flag_is_a_boolean_and_nothing_like_one() -> None:
    assert fields.flag({"k": False}, "k", default=True) is False
    assert fields.flag({}, "k", default=True) is True
    assert reason(fields.flag, {"k": 1}, "k") == "k: must be a boolean, not a number"


def test_the_path_leads_to_the_key_inside() -> None:
    data = {"outer": {"list": [{"k": "a"}, {"k": 7}]}}

    def inner(entry: fields.Json) -> str:
        return fields.text(entry, "k")

    def outer(entry: fields.Json) -> tuple[str, ...]:
        return fields.parts(entry, "list", inner)

    assert reason(fields.part, data, "outer", outer) == "outer.list[1].k: must be text, not a number"


@pytest.mark.parametrize("text", ["", "nonsense", "[" * 200_000, "9" * 5000, '{"a":', "[]", "1", "null", '"text"'])
def test_a_frame_that_is_no_object_is_refused(text: str) -> None:
    assert reason(fields.object_from_text, text).startswith("frame: ")


def test_what_is_written_is_ascii_and_compact() -> None:
    assert fields.text_from_object({"k": "ü", "n": [1, 2]}) == '{"k":"\\u00fc","n":[1,2]}'
