"""The catalogues: complete, with the same values in every language, and plurals."""

import string
from collections.abc import Iterator
from datetime import date, time

import pytest

from appliance.kiosk.words import CATALOGUES, ENGLISH, PSEUDO, Entry, Words, duration, pseudo


def forms(entry: Entry) -> Iterator[str]:
    yield from [entry] if isinstance(entry, str) else entry.values()


def values_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", CATALOGUES)
def test_every_language_has_every_key_with_the_same_values(locale: str) -> None:
    entries = CATALOGUES[locale]
    assert entries.keys() == ENGLISH.keys()
    for key, entry in entries.items():
        wanted = {frozenset(values_of(text)) for text in forms(ENGLISH[key])}
        assert {frozenset(values_of(text)) for text in forms(entry)} == wanted, key


@pytest.mark.parametrize("locale", CATALOGUES)
def test_nobody_is_begged_blamed_or_shouted_at(locale: str) -> None:
    for key, entry in CATALOGUES[locale].items():
        for text in forms(entry):
            assert "!" not in text, key
            assert not {"please", "bitte", "oops", "sorry"} & set(text.lower().split()), key
            assert len(text.split()) <= 8 or key.startswith(("line.", "room.", "error.", "panel.")), key


def test_values_are_filled_in_and_one_is_not_many() -> None:
    words = Words("en")
    assert words("idle.hold", room="Harbour") == "Hold [Leave] 2 s to join Harbour"
    assert words("idle.in", n=1, m=28) == "1 minute, starts in 28"
    assert Words("de")("idle.in", n=45, m=28) == "45 Minuten, beginnt in 28"


def test_what_a_language_lacks_is_said_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CATALOGUES["de"], "mic.muted")
    assert Words("de")("mic.muted") == "Muted"
    assert Words("xx")("mic.muted") == "Muted"


def test_a_key_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match=r"mic\.loud"):
        Words("en")("mic.loud")


def test_dates_and_times_follow_the_language() -> None:
    day = date(2026, 3, 3)
    assert [Words(locale).day(day) for locale in ("en", "de", "de-CH", "fr")] == [
        "Tuesday, 3 March",
        "Dienstag, 3. März",
        "Dienstag, 3. März",
        "Tuesday, 3 March",
    ]
    assert Words("en").clock(time(9, 5)) == "09:05"


def test_durations_are_minutes_and_seconds() -> None:
    assert [duration(s) for s in (-3, 0, 7.9, 60, 754, 7200)] == ["0:00", "0:00", "0:07", "1:00", "12:34", "120:00"]


def test_the_pseudo_language_is_longer_and_keeps_keys_and_values() -> None:
    text = pseudo("Hold [Leave] 2 s to join {room}")
    assert "[Leave]" in text
    assert "{room}" in text
    assert len(text) >= 1.4 * len("Hold [Leave] 2 s to join {room}") - 1
    assert "Harbour" in Words(PSEUDO)("idle.hold", room="Harbour")
