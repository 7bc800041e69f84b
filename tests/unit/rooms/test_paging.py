"""Page tokens and the meta object of a list (rest.md 7)."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rooms.paging import PageRequest, page_json, read_page_request
from appliance.rooms.parameters import Parameters
from appliance.rooms.problems import RestError
from appliance.rooms.store.window import Key

SECRET = b"secret of the service"
FILTERS = ("Status", "UniqueName")
FIRST = Key(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), "RM1")
LAST = Key(datetime(2026, 3, 1, 11, 0, 0, 1, tzinfo=UTC), "RM2")


def request(query: str = "") -> PageRequest:
    return read_page_request(Parameters.parse(query), FILTERS, SECRET)


def page(query: str = "", *, more: bool = True, keys: tuple[Key, ...] = (FIRST, LAST)) -> dict[str, Any]:
    items = [{"sid": key.sid} for key in keys]
    return page_json("rooms", items, keys, more, request(query), "http://host/v1/Rooms", SECRET)


def query_of(url: str) -> str:
    return urlsplit(url).query


def test_a_list_has_two_keys_and_meta_has_seven() -> None:
    answer = page()

    assert list(answer) == ["rooms", "meta"]
    assert list(answer["meta"]) == [
        "page",
        "page_size",
        "first_page_url",
        "previous_page_url",
        "url",
        "next_page_url",
        "key",
    ]
    assert answer["meta"]["key"] == "rooms"


def test_the_addresses_repeat_the_filters_as_received() -> None:
    meta = page("Status=completed&UniqueName=caf%C3%A9%20%26&PageSize=2")["meta"]

    assert meta["url"] == "http://host/v1/Rooms?Status=completed&UniqueName=caf%C3%A9%20%26&PageSize=2&Page=0"


def test_the_next_page_goes_on_after_the_last_row() -> None:
    following = request(query_of(page("Status=completed&PageSize=2")["meta"]["next_page_url"]))

    assert (following.window.key, following.window.backwards, following.number) == (LAST, False, 1)


def test_the_previous_page_ends_before_the_first_row() -> None:
    second = query_of(page("PageSize=2")["meta"]["next_page_url"])

    back = request(query_of(page(second)["meta"]["previous_page_url"]))

    assert (back.window.key, back.window.backwards, back.number) == (FIRST, True, 0)


def test_the_last_page_has_no_next_and_the_first_no_previous() -> None:
    meta = page(more=False)["meta"]

    assert (meta["next_page_url"], meta["previous_page_url"]) == (None, None)


def test_an_empty_list_is_one_page() -> None:
    meta = page(more=False, keys=())["meta"]

    assert (meta["next_page_url"], meta["previous_page_url"]) == (None, None)


def test_a_size_above_the_maximum_is_clamped_and_said_so() -> None:
    assert page("PageSize=5000")["meta"]["page_size"] == 1000


@pytest.mark.parametrize("query", ["PageSize=0", "PageSize=-1", "PageSize=many", "Page=-1", "Page=x"])
def test_a_number_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(RestError) as caught:
        request(query)
    assert (caught.value.status, caught.value.code) == (400, 20001)


def code_of(query: str, secret: bytes = SECRET) -> int | None:
    try:
        read_page_request(Parameters.parse(query), FILTERS, secret)
    except RestError as error:
        return error.code
    return None


def test_a_token_belongs_to_its_filters() -> None:
    following = query_of(page("Status=completed")["meta"]["next_page_url"])

    assert code_of(following.replace("Status=completed", "Status=failed")) == 21481
    assert code_of(following + "&UniqueName=lobby") == 21481


def test_a_token_of_another_service_is_refused() -> None:
    assert code_of(query_of(page()["meta"]["next_page_url"]), b"another secret") == 21481


def test_no_changed_character_goes_unnoticed() -> None:
    token = parse_qs(query_of(page()["meta"]["next_page_url"]))["PageToken"][0]
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert code_of(f"PageToken={changed}") == 21481


@given(st.text(min_size=1, max_size=300))
def test_any_text_as_a_token_is_refused(text: str) -> None:
    assert code_of("PageToken=" + "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))) == 21481
