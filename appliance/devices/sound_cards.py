"""Which sound cards are there, by stable id, and which of them `auto` takes (kiosk.md 8). Reads /proc/asound alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROC_ASOUND = Path("/proc/asound")
Direction = Literal["capture", "playback"]


@dataclass(frozen=True, slots=True)
class SoundCard:
    """One card. `id` stays the same over restarts, the number does not."""

    id: str
    usb: bool
    captures: bool
    plays: bool

    def serves(self, direction: Direction) -> bool:
        return self.captures if direction == "capture" else self.plays

    @property
    def pcm(self) -> str:
        """ALSA name of its first device, with conversion of rate, channels and format."""
        return f"plughw:CARD={self.id},DEV=0"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that `auto` may try, and why."""

    pcm: str
    reason: str


def sound_cards(root: Path | None = None) -> list[SoundCard]:
    """Return the cards in the kernel's order; none where there is no sound in the kernel."""
    cards = []
    for folder in sorted(
        (root or PROC_ASOUND).glob("card[0-9]*"), key=lambda path: int(path.name.removeprefix("card"))
    ):
        try:
            card_id = (folder / "id").read_text().strip()
        except OSError:
            continue  # unplugged while we looked
        cards.append(
            SoundCard(
                id=card_id,
                usb=(folder / "usbid").exists(),
                captures=(folder / "pcm0c").exists(),
                plays=(folder / "pcm0p").exists(),
            )
        )
    return cards


def candidates(cards: Sequence[SoundCard], direction: Direction) -> list[Candidate]:
    """Return what `auto` tries, best first: a USB speakerphone, other cards, then what the system calls default."""
    serving = [card for card in cards if card.serves(direction)]
    both_ways = [card for card in serving if card.usb and card.captures and card.plays]
    others = [card for card in serving if card not in both_ways]
    return [
        *(Candidate(card.pcm, f"{card.id} is a USB device with microphone and speaker") for card in both_ways),
        *(Candidate(card.pcm, f"{card.id} is the first card that can {_does(direction)}") for card in others),
        Candidate("default", "no card of its own, but the system has a default device"),
    ]


def pcm_name(setting: str) -> str:
    """Return the ALSA name for a setting.

    `pcm:NAME` is a PCM of asound.conf, whatever holds another colon is ALSA's own name already, and a word alone is a
    card's id, standing for its first device.
    """
    if setting.startswith("pcm:"):
        return setting.removeprefix("pcm:")
    return setting if ":" in setting or setting in ("default", "pulse", "pipewire") else f"plughw:CARD={setting},DEV=0"


def card_of(pcm: str) -> str | None:
    """Return the card id that an ALSA name holds, for its mixer; None for `default` and other plug-ins."""
    _, found, rest = pcm.partition("CARD=")
    return rest.split(",")[0] if found else None


def _does(direction: Direction) -> str:
    return "record" if direction == "capture" else "play"
