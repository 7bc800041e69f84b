"""Who may do what, from where: the one place for it, whatever door a command came through (kiosk.md 19). Pure."""

from fnmatch import fnmatchcase

from appliance.errors import CommandRefused
from appliance.kiosk.inputs import (
    COMMANDS,
    Actor,
    Command,
    Join,
    PressFrontPanel,
    SetCamera,
    SetMicrophone,
    command_name,
)
from appliance.kiosk.rules import StartMedia
from appliance.kiosk.state import KioskState, Origin, Role

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


def check(command: Command, actor: Actor, state: KioskState) -> None:
    """Raise CommandRefused `policy_denied` or `invalid_state` where this actor may not do that."""
    kind = COMMANDS.get(command_name(command))
    if kind is not None:
        if actor.origin not in kind.origins:
            raise CommandRefused("policy_denied", f"{kind.name} cannot come from {actor.origin}")
        if _RANK[actor.role] < _RANK[kind.role]:
            raise CommandRefused("policy_denied", f"{kind.name} needs the role {kind.role}")
    match command:
        case Join(room=room):
            _check_room(room or state.rules.default_room, state)
        case SetMicrophone(muted=False) if not may_open(actor, state):
            raise CommandRefused("policy_denied", "Unmuting is only possible in the room")
        case SetCamera(on=True) if not may_open(actor, state):
            raise CommandRefused("policy_denied", "The camera can only be turned on in the room")
        case PressFrontPanel() if state.device.front_panel != "virtual":
            raise CommandRefused("invalid_state", "The front panel is real: press its buttons")
        case _:
            pass


def may_open(actor: Actor, state: KioskState) -> bool:
    """Tell whether this actor may unmute or turn the camera on: a person in the room, or the role the settings name."""
    needed = state.rules.remote_unmute
    if actor.in_the_room or actor.origin is Origin.SYSTEM:
        return True
    return needed != "never" and _RANK[actor.role] >= _RANK[Role(needed)]


def start_media(join: Join, actor: Actor, state: KioskState) -> StartMedia:
    """Return what is on when this join succeeds.

    Whoever asks from afar gets `join.remote_media` and may turn off what that leaves on, nothing more (kiosk.md 4).
    """
    may = may_open(actor, state)
    base = state.rules.local_media if actor.in_the_room else state.rules.remote_media
    return StartMedia(mic=_wanted(base.mic, join.mic, may), camera=_wanted(base.camera, join.camera, may))


def _wanted(base: bool, asked: bool | None, may: bool) -> bool:
    if asked is None:
        return base
    return asked and (base or may)


def _check_room(room: str, state: KioskState) -> None:
    if not room:
        raise CommandRefused("invalid_request", "No room is named, and there is no default room")
    if not any(fnmatchcase(room, pattern) for pattern in state.rules.allowed_rooms):
        raise CommandRefused("policy_denied", f"The room {room!r} is not among join.allowed_rooms")
