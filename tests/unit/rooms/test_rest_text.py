"""Answers of the REST API as text."""

import json
from typing import Any

import pytest

from appliance.rooms.rest import as_text

ROOM = {"unique_name": 'Küche "1"', "links": {"participants": "…"}, "duration": None}


@pytest.mark.parametrize("body", [{}, ROOM, {"rooms": [], "meta": {"page": 0}}, {"rooms": [ROOM] * 131, "meta": {}}])
async def test_an_answer_written_piece_by_piece_is_the_same_json(body: dict[str, Any]) -> None:
    assert json.loads(await as_text(body)) == body
    assert await as_text(body) == json.dumps(body, ensure_ascii=False)
