"""room-kiosk: a meeting-room video kiosk and the rooms service it joins.

Imports point down, never sideways; `docs/architecture.md` draws the floors.
"""

PRODUCT = "room-kiosk"
"""Distribution, command, unit names and MQTT base topic: defined once, here."""

ROOMS_TOPIC = "room-kiosk-rooms"
"""MQTT base topic of the rooms service."""

METRIC_PREFIX = "room_kiosk_"

__version__ = "0.1.0"
