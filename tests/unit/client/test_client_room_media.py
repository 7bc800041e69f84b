"""All peer connections of a room: what is closed stays closed."""

from typing import Any, cast

from appliance.client.peer_connection import PeerConnectionSettings
from appliance.client.room_media import RoomMedia
from appliance.media_engine import Description, DescriptionType, PeerConnectionState


async def test_once_closed_neither_the_service_nor_a_late_retry_makes_a_connection() -> None:
    media = RoomMedia(PeerConnectionSettings(), cast(Any, None))
    await media.close()

    media.replace()
    by_service = media.connections
    media.handle(
        [PeerConnectionState(id="new", description=Description(type=DescriptionType.CREATE_OFFER, revision=1))]
    )

    assert (by_service, media.connections) == ((), ())
