"""`room-kiosk token`: mint an access token with the service's own API key."""

import time
from pathlib import Path

import click

from appliance.errors import ConfigurationError, RoomError
from appliance.programs.state_folder import rooms_state_folder
from appliance.rooms import credentials
from appliance.rooms.room_names import check_room_name
from appliance.sids import looks_like
from appliance.tokens import DEFAULT_LIFETIME_S, MAX_LIFETIME_S, mint


@click.command("token")
@click.option("--identity", required=True, help="Who the holder is in the room.")
@click.option("--room", help="Name or SID of the only room it opens; all rooms unless given.")
@click.option(
    "--lifetime-s",
    type=click.IntRange(1, MAX_LIFETIME_S),
    default=DEFAULT_LIFETIME_S,
    show_default=True,
    help="Seconds.",
)
@click.option(
    "--credentials",
    "path",
    type=click.Path(exists=True, path_type=Path),
    help="credentials.json of the rooms service, or the directory it is in; the usual one unless given.",
)
def token(identity: str, room: str | None, lifetime_s: int, path: Path | None) -> None:
    """Print an access token, signed with the API key of the rooms service on this machine."""
    path = path or rooms_state_folder()
    try:
        keys = credentials.load(path / credentials.FILE_NAME if path.is_dir() else path)
        if room and not looks_like("RM", room):
            check_room_name(room)
        text = mint(keys.signing_key, identity, now=time.time(), room=room, lifetime_s=lifetime_s)
    except (ConfigurationError, RoomError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(text)
