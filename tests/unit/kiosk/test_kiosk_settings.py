"""What kiosk.toml may say, and what is said about the rest (kiosk.md 14)."""

import pytest

from appliance.errors import ConfigurationError
from appliance.kiosk.rules import StartMedia
from appliance.kiosk.settings import KioskSettings
from appliance.settings import parse_settings

LEAST = '[rooms_service]\nurl = "https://rooms.example"\nauth = "command"\n'


def read(text: str) -> KioskSettings:
    return parse_settings(KioskSettings, [("kiosk.toml", text)])


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return caught.value.problems


def test_the_least_that_is_needed_gives_the_defaults() -> None:
    settings = read(LEAST)
    assert settings.join.auto_leave_alone == 300
    assert settings.buttons.mute_pin == 17
    assert settings.rules.remote_media == StartMedia(mic=False, camera=False)


def test_start_media_is_a_table() -> None:
    assert read(LEAST + "[join]\nremote_media = {mic = true, camera = false}").rules.remote_media == StartMedia(
        mic=True, camera=False
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "rooms_service"),
        ('[rooms_service]\nurl = "http://rooms.example"\nauth = "command"', "unencrypted"),
        ('[rooms_service]\nurl = "http://8.8.8.8"\nauth = "command"\nallow_insecure = true', "public address"),
        ('[rooms_service]\nurl = "https://rooms.example"', "api_key_sid"),
        (LEAST + '[mqtt]\nenabled = true\nurl = "mqtt://broker"', "unencrypted"),
        (LEAST + '[mqtt]\npasword_file = "x"', "did you mean mqtt.password_file"),
        (LEAST + '[device]\nid = "Hall 2"', "device.id"),
        (LEAST + '[join]\nmode = "always"', "join.default_room"),
        (LEAST + "[buttons]\nleave_pin = 22", "already used by leds.mute_pin"),
        (LEAST + "[video]\nfps = 60", "between 5 and 30"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_key(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(LEAST + '[video]\nfps = 60\n[device]\nlocale = "xx"\n[join]\nkick_holdoff = -1')) == 3


def test_plain_http_is_for_private_networks_that_say_so() -> None:
    text = '[rooms_service]\nurl = "http://192.168.1.7:8080"\nauth = "command"\nallow_insecure = true'
    assert read(text).rooms_service.url == "http://192.168.1.7:8080"
