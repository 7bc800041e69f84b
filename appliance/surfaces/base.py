"""What a surface is, and what all of them share."""

from typing import Protocol

from appliance.kiosk.runner import Kiosk


class Surface(Protocol):
    """Translates between one kind of people or machines and the kiosk: input in, snapshot out, no logic."""

    name: str

    async def run(self, kiosk: Kiosk) -> None:
        """Serve until cancelled. A lost other end is part of life and mended here; a bug of ours is raised."""
