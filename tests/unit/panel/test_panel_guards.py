"""Who may speak to the page: known hosts, requests of the page itself."""

import pytest
from werkzeug.datastructures import Headers

from appliance.panel.guards import KnownHosts, check_same_page, host_name
from appliance.panel.problems import Problem


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Kiosk.local:8090", "kiosk.local"),
        ("[::1]:8090", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("kiosk.", "kiosk"),
        ("", ""),
    ],
)
def test_a_host_header_is_reduced_to_its_name(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    "host", ["localhost:8090", "127.0.0.1:8090", "[::1]:8090", "hall-2.example", "HALL-2.example:80"]
)
def test_the_page_is_known_by_its_own_names(host: str) -> None:
    KnownHosts(["hall-2.example"]).check(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "203.0.113.7", "", None, "localhost.evil.example"]
)
def test_a_rebound_name_finds_nothing(host: str | None) -> None:
    with pytest.raises(Problem) as caught:
        KnownHosts([]).check(host)
    assert caught.value.status == 403


OURS = {"Host": "127.0.0.1:8090", "X-Room-Kiosk-Page": "1"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Origin": "http://127.0.0.1:8090", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_the_page_itself_and_programs_may_change_things(more: dict[str, str]) -> None:
    check_same_page(Headers(OURS | more))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8090"},
        OURS | {"Origin": "http://evil.example"},
        OURS | {"Origin": "null"},
        OURS | {"Origin": "http://127.0.0.1:9999"},
        OURS | {"Sec-Fetch-Site": "cross-site"},
        OURS | {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(Problem) as caught:
        check_same_page(Headers(headers))
    assert caught.value.code == "csrf"
