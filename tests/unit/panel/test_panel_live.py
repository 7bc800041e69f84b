"""What an event stream sends, with a clock that is a number and a kiosk in memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.panel.app import create_app
from appliance.panel.kiosk import Snapshot
from appliance.panel.live import Streams, stream
from appliance.panel.problems import Problem
from appliance.panel.settings import PanelSettings
from tests.support import kiosk_documents
from tests.support.fake_kiosk import KioskInMemory

SETTINGS = PanelSettings(socket_path=Path("unused"), stream_s=900, comment_every_s=15)


class Clockwork(KioskInMemory):
    """A kiosk whose waiting passes time instead of waiting; `later` says what happens when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.later: dict[int, Any] = {}

    def clock(self) -> float:
        return self.now

    def wait_for_change(self, after: int, timeout_s: float) -> Snapshot:
        self.now += max(timeout_s, 0.01)
        if happens := self.later.pop(int(self.now), None):
            happens()
        return self.snapshot()


def events(chunks: Iterator[str]) -> Iterator[tuple[str, str, Mapping[str, Any] | None]]:
    """Yield (event, id, data) as a browser reads them; a comment is ("comment", "", None)."""
    for chunk in chunks:
        for block in chunk.strip().split("\n\n"):
            if block.startswith(":"):
                yield "comment", "", None
                continue
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            if "event" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])


@pytest.fixture
def kiosk() -> Clockwork:
    return Clockwork()


def test_the_first_event_is_the_whole_state_with_its_revision(kiosk: Clockwork) -> None:
    assert next(events(stream(kiosk, SETTINGS, kiosk.clock))) == ("state", "1", kiosk_documents.idle())


def test_a_change_is_sent_whole_and_with_the_next_revision(kiosk: Clockwork) -> None:
    kiosk.later[3] = lambda: kiosk.become(kiosk_documents.in_room())
    got = events(stream(kiosk, SETTINGS, kiosk.clock))
    next(got)

    assert next(got) == ("state", "7", kiosk_documents.in_room())
    assert kiosk.now < 4


def test_a_quiet_stream_says_so_every_fifteen_seconds(kiosk: Clockwork) -> None:
    got = events(stream(kiosk, SETTINGS, kiosk.clock))
    next(got)
    times = []
    for _ in range(3):
        assert next(got)[0] == "comment"
        times.append(round(kiosk.now))

    assert times == [15, 30, 45]


def test_a_stream_ends_after_fifteen_minutes(kiosk: Clockwork) -> None:
    names = [name for name, _, _ in events(stream(kiosk, SETTINGS, kiosk.clock))]

    assert round(kiosk.now) == 900
    assert names.count("comment") >= 59


def test_a_kiosk_that_falls_silent_and_returns_is_told_as_it_happens(kiosk: Clockwork) -> None:
    kiosk.later[2] = kiosk.fall_silent
    kiosk.later[6] = lambda: kiosk._next(answering=True)
    got = events(stream(kiosk, SETTINGS, kiosk.clock))
    next(got)

    assert next(got) == ("kiosk", "", {"answers": False})
    assert next(got) == ("kiosk", "", {"answers": True})
    assert next(got) == ("state", "1", kiosk_documents.idle())


def test_a_stream_that_opens_on_a_silent_kiosk_begins_with_that(kiosk: Clockwork) -> None:
    kiosk.fall_silent()

    assert next(events(stream(kiosk, SETTINGS, kiosk.clock))) == ("kiosk", "", {"answers": False})


def test_the_outcome_of_a_command_is_sent_once(kiosk: Clockwork) -> None:
    kiosk.command("room.join", {})  # before the stream: not news
    kiosk.later[2] = lambda: kiosk.command("mic.mute", {})
    got = events(stream(kiosk, SETTINGS, kiosk.clock))
    next(got)
    news = [next(got) for _ in range(3)]

    assert [name for name, _, _ in news] == ["state", "outcome", "comment"]
    assert news[1][2] == {"command_id": "c2", "ok": True}


def test_a_stream_ends_when_the_panel_closes(kiosk: Clockwork) -> None:
    kiosk.later[2] = kiosk.close
    list(stream(kiosk, SETTINGS, kiosk.clock))

    assert kiosk.now < 4


def test_places_are_counted_and_given_back_once() -> None:
    streams = Streams(2)
    streams.take()
    streams.take()
    with pytest.raises(Problem) as caught:
        streams.take()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 15)

    streams.give_back()
    streams.take()


def test_more_streams_than_places_are_refused_until_one_closes() -> None:
    settings = PanelSettings(socket_path=Path("unused"), max_streams=1)
    client = create_app(settings, KioskInMemory()).test_client()

    first = client.get("/api/v1/events")
    refused = client.get("/api/v1/events")
    first.close()
    again = client.get("/api/v1/events")

    assert first.mimetype == "text/event-stream"
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "15")
    assert again.status_code == 200
    again.close()
