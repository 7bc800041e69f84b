"""What a log line looks like in each style."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from appliance.journal import LogFormat, set_up_logging


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(style: LogFormat, level: int = logging.INFO, failing: bool = False) -> str:
    stream = io.StringIO()
    set_up_logging("info", style, stream)
    try:
        raise ValueError("the reason")
    except ValueError:
        logging.getLogger("appliance.rooms").log(level, "room %s é", "RM1", exc_info=failing)
    return stream.getvalue()


def test_the_journal_gets_a_priority_and_no_time() -> None:
    assert written("journal", logging.WARNING) == "<4>appliance.rooms: room RM1 é\n"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    lines = written("journal", logging.ERROR, failing=True).splitlines()

    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_plain_is_for_eyes() -> None:
    assert written("plain").endswith("INFO    appliance.rooms: room RM1 é\n")


def test_json_is_one_object_a_line() -> None:
    entry = json.loads(written("json", failing=True))

    assert (entry["level"], entry["logger"], entry["message"]) == ("info", "appliance.rooms", "room RM1 é")
    assert "ValueError: the reason" in entry["exception"]


def test_what_is_below_the_level_is_not_written() -> None:
    assert written("plain", logging.DEBUG) == ""


def test_json_has_the_sids_of_a_line_as_fields() -> None:
    room, request = "RM" + "0a" * 16, "RQ" + "1b" * 16
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    logging.getLogger("appliance.rooms").info("%s: %s of %s", request, "GET", room)

    entry = json.loads(stream.getvalue())
    assert (entry["request_id"], entry["room_sid"]) == (request, room)
