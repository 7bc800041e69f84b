"""What a run leaves for the next (kiosk.md 3)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.kiosk.effects import Remember
from appliance.kiosk.inputs import Resume
from appliance.kiosk.resume import Memory
from appliance.kiosk.state import Origin

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
IN_LOBBY = Remember("lobby", True, False, "button")


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    Memory(tmp_path / "resume.json").remember(IN_LOBBY, NOW)
    found = Memory(tmp_path / "resume.json").recall(NOW + timedelta(minutes=9))
    assert found == Resume(room_name="lobby", muted=True, camera_on=False, origin=Origin.BUTTON)


def test_a_run_that_ended_ten_minutes_ago_is_over(tmp_path: Path) -> None:
    Memory(tmp_path / "resume.json").remember(IN_LOBBY, NOW)
    assert Memory(tmp_path / "resume.json").recall(NOW + timedelta(minutes=10)) is None


def test_a_long_visit_stays_fresh_while_it_runs(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "resume.json")
    memory.remember(IN_LOBBY, NOW)
    memory.touch(NOW + timedelta(hours=3))
    assert Memory(tmp_path / "resume.json").recall(NOW + timedelta(hours=3, minutes=1)) is not None


def test_what_was_left_is_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "resume.json")
    memory.remember(IN_LOBBY, NOW)
    memory.forget()
    memory.touch(NOW)
    assert Memory(tmp_path / "resume.json").recall(NOW) is None


def test_nothing_is_written_where_resuming_is_off(tmp_path: Path) -> None:
    Memory(tmp_path / "resume.json", enabled=False).remember(IN_LOBBY, NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"room":""}', '{"room":"a","at":"x","origin":"button"}', "\x00"])
def test_a_file_that_makes_no_sense_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "resume.json").write_text(text)
    assert Memory(tmp_path / "resume.json").recall(NOW) is None


def test_in_doubt_muted_and_dark(tmp_path: Path) -> None:
    text = '{"room":"lobby","at":"2026-03-01T09:00:00Z","origin":"button","muted":"no","camera_on":1}'
    (tmp_path / "resume.json").write_text(text)
    found = Memory(tmp_path / "resume.json").recall(NOW)
    assert found is not None
    assert (found.muted, found.camera_on) == (True, False)
