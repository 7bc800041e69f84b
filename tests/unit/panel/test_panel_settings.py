"""Where the panel may listen."""

from pathlib import Path

import pytest

from appliance.errors import ConfigurationError
from appliance.panel.settings import PanelSettings, parse_bind


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8090", ("127.0.0.1", 8090)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_bind(text) == address


@pytest.mark.parametrize("text", ["8090", ":8090", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ""])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:8090"):
        parse_bind(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_leave(host: str) -> None:
    PanelSettings(socket_path=Path("s"), host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "kiosk.example"])
def test_without_sign_in_the_network_is_let_in_only_on_purpose(host: str) -> None:
    with pytest.raises(ConfigurationError, match="no sign-in yet"):
        PanelSettings(socket_path=Path("s"), host=host).check()

    PanelSettings(socket_path=Path("s"), host=host, open_to_network=True).check()
