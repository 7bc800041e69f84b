"""Join a room.

async with await connect(token, url="http://127.0.0.1:8080", name="lobby", tracks=[camera, microphone]) as room:
    room.on("participant_connected", greet)
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Literal

from appliance.client.link_report import NetworkQualityConfiguration
from appliance.client.local_tracks import LocalTrack
from appliance.client.options import CONNECT_DEADLINE_S, BandwidthProfileOptions, ConnectOptions
from appliance.client.room import Room
from appliance.client.signaling_socket import SignalingSocket
from appliance.errors import SignalingConnectionError
from appliance.signaling.states import IceServer


async def connect(
    token: str,
    *,
    url: str,
    name: str | None = None,
    tracks: Sequence[LocalTrack] = (),
    ca_file: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    ice_servers: Sequence[IceServer] | None = None,
    relay_only: bool = False,
    automatic_subscription: bool = True,
    deadline_s: float = CONNECT_DEADLINE_S,
    dominant_speaker: bool = False,
    network_quality: NetworkQualityConfiguration | bool = False,
    bandwidth_profile: BandwidthProfileOptions | None = None,
    preferred_video_codecs: Sequence[str] | Literal["auto"] = (),
    receive_transcriptions: bool = False,
) -> Room:
    """Join and return the room; the arguments are those of ConnectOptions. `network_quality` True: levels of our own.

    Raises:
        RoomError: with the service's number where it refuses (token: 20101-20107, room full: 53105, …); 53000 where
            it cannot be reached, is not trusted, or does not answer before the deadline; the message says which.
        ValueError, OSError: `url` or `ca_file` cannot be used.
    """
    options = ConnectOptions(
        url=url,
        name=name,
        tracks=tuple(tracks),
        ca_file=ca_file,
        ssl_context=ssl_context,
        ice_servers=None if ice_servers is None else tuple(ice_servers),
        relay_only=relay_only,
        automatic_subscription=automatic_subscription,
        deadline_s=deadline_s,
        dominant_speaker=dominant_speaker,
        network_quality=(NetworkQualityConfiguration() if network_quality else None)
        if isinstance(network_quality, bool)
        else network_quality,
        bandwidth_profile=bandwidth_profile,
        preferred_video_codecs="auto" if preferred_video_codecs == "auto" else tuple(preferred_video_codecs),
        receive_transcriptions=receive_transcriptions,
    )
    return await connect_with(token, options)


async def connect_with(token: str, options: ConnectOptions) -> Room:
    """Join with options that are already put together; see `connect`."""
    wire = SignalingSocket(token, options)
    room = Room(wire, options)
    for track in options.tracks:
        room.local_participant.add(track)
    wire.start(room)
    try:
        async with asyncio.timeout(options.deadline_s):
            await asyncio.shield(room.joined)
    except TimeoutError:
        await room.disconnect()
        raise SignalingConnectionError(f"{options.url} did not let us in within {options.deadline_s:g} s") from None
    except BaseException:
        await room.disconnect()
        raise
    room.release()
    wire.release()
    return room
