"""The durable outbox on a real file (kiosk.md 12)."""

import os
import sqlite3
from pathlib import Path

from appliance.surfaces.mqtt.outbox import Event, Outbox
from appliance.system_clock import SystemClock
from tests.support.conditions import until


class Told:
    """What an outbox reported."""

    def __init__(self) -> None:
        self.dropped: list[tuple[int, int, int]] = []
        self.trouble: list[str] = []


def an_outbox(path: Path, told: Told | None = None, **limits: int) -> Outbox:
    told = told or Told()
    return Outbox(
        path,
        SystemClock(),
        dropped=lambda *numbers: told.dropped.append(numbers),
        trouble=lambda code, _words: told.trouble.append(code),
        **limits,
    )


def an_event(type: str = "participant-connected", id: str = "e") -> Event:
    at = "2999-03-01T09:00:00.000Z"
    return Event(id=id, type=type, at=at, monotonic_ms=1, boot_id="b", data='{"a":"b"}')


async def test_what_went_in_comes_out_oldest_first_until_removed(tmp_path: Path) -> None:
    async with an_outbox(tmp_path / "o.sqlite3") as outbox:
        for number in range(3):
            outbox.append(an_event(id=f"e{number}"))
        await until("stored", outbox.stored.is_set)
        seen = []
        while (event := await outbox.head()) is not None:
            assert await outbox.head() == event
            seen.append((event.seq, event.id))
            await outbox.remove(event.seq)
        assert seen == [(1, "e0"), (2, "e1"), (3, "e2")]


async def test_numbers_go_on_over_restarts_even_when_everything_was_delivered(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        async with an_outbox(tmp_path / "o.sqlite3") as outbox:
            outbox.append(an_event())
            await until("stored", outbox.stored.is_set)
            event = await outbox.head()
            assert event is not None
            assert event.seq == expected
            await outbox.remove(event.seq)


async def test_what_waits_is_written_when_it_is_closed(tmp_path: Path) -> None:
    async with an_outbox(tmp_path / "o.sqlite3") as outbox:
        outbox.append(an_event("kiosk-state"))  # not urgent: it waits for company
    async with an_outbox(tmp_path / "o.sqlite3") as outbox:
        assert await outbox.count() == 1


async def test_an_event_is_on_the_card_before_anybody_can_publish_it(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite3"
    async with an_outbox(path) as outbox:
        outbox.append(an_event(id="e1"))
        event = None
        await until("stored", outbox.stored.is_set)
        event = await outbox.head()
        assert event is not None
        other = sqlite3.connect(path)  # what a process would find after this one was killed
        try:
            assert other.execute("SELECT id FROM event").fetchall() == [("e1",)]
        finally:
            other.close()


async def test_when_full_the_oldest_of_the_least_dear_go_and_it_is_told(tmp_path: Path) -> None:
    told = Told()
    async with an_outbox(tmp_path / "o.sqlite3", told, max_events=4) as outbox:
        for type in ("participant-connected", "track-added", "track-removed", "kiosk-mic", "room-ended", "kiosk-state"):
            outbox.append(an_event(type))
        await until("two are gone", lambda: sum(count for count, _, _ in told.dropped) == 2)
        left = []
        while (event := await outbox.head()) is not None:
            left.append(event.type)
            await outbox.remove(event.seq)
    assert left == ["participant-connected", "kiosk-mic", "room-ended", "kiosk-state"]


async def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite3"
    path.write_bytes(b"this is no database, and long enough to be taken for one " * 40)
    told = Told()
    async with an_outbox(path, told) as outbox:
        outbox.append(an_event())
        await until("stored", outbox.stored.is_set)
        assert await outbox.count() == 1
    assert told.trouble == ["data_recovered"]
    assert any(name.startswith("o.sqlite3.damaged-") for name in os.listdir(tmp_path))


async def test_without_a_card_memory_has_to_do(tmp_path: Path) -> None:
    told = Told()
    async with an_outbox(tmp_path / "missing" / "o.sqlite3", told) as outbox:
        outbox.append(an_event())
        await until("kept", outbox.stored.is_set)
        assert await outbox.count() == 1
    assert told.trouble == ["outbox_volatile"]
