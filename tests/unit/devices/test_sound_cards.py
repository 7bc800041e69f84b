"""What `auto` finds in /proc/asound."""

from pathlib import Path

import pytest

from appliance.devices.sound_cards import candidates, card_of, pcm_name, sound_cards


def card(root: Path, number: int, card_id: str, *, usb: bool, streams: str) -> None:
    folder = root / f"card{number}"
    folder.mkdir()
    (folder / "id").write_text(f"{card_id}\n")
    if usb:
        (folder / "usbid").write_text("0b0e:0420\n")
    for letter in streams:
        (folder / f"pcm0{letter}").mkdir()


def test_a_usb_speakerphone_comes_before_the_first_card(tmp_path: Path) -> None:
    card(tmp_path, 0, "vc4hdmi0", usb=False, streams="p")
    card(tmp_path, 1, "Webcam", usb=True, streams="c")
    card(tmp_path, 10, "Speakerphone", usb=True, streams="cp")
    cards = sound_cards(tmp_path)
    assert [found.id for found in cards] == ["vc4hdmi0", "Webcam", "Speakerphone"]
    capture = [candidate.pcm for candidate in candidates(cards, "capture")]
    assert capture == ["plughw:CARD=Speakerphone,DEV=0", "plughw:CARD=Webcam,DEV=0", "default"]
    playback = candidates(cards, "playback")
    assert playback[0].pcm == "plughw:CARD=Speakerphone,DEV=0"
    assert "microphone and speaker" in playback[0].reason


def test_without_sound_in_the_kernel_only_default_is_tried(tmp_path: Path) -> None:
    assert sound_cards(tmp_path / "missing") == []
    assert [candidate.pcm for candidate in candidates([], "capture")] == ["default"]


@pytest.mark.parametrize(
    ("setting", "pcm"),
    [
        ("Speakerphone", "plughw:CARD=Speakerphone,DEV=0"),
        ("plughw:CARD=X,DEV=1", "plughw:CARD=X,DEV=1"),
        ("pcm:conference", "conference"),
        ("default", "default"),
    ],
)
def test_a_setting_names_a_pcm(setting: str, pcm: str) -> None:
    assert pcm_name(setting) == pcm


def test_a_pcm_name_tells_its_card() -> None:
    assert card_of("plughw:CARD=Speakerphone,DEV=0") == "Speakerphone"
    assert card_of("default") is None
