"""The use cases of the rooms service: the only door to rooms, for sockets, REST and the guest page alike."""

from appliance.rooms.conversation import JoinRequest, ResumeRequest, Tell, UpdateRequest
from appliance.signaling.states import IceServer


class Attachment:
    """One socket's hold on a participant; `session` is what the client has to show to resume.

    Opaque to sockets. When the session moves to another socket, calls made with the older attachment do nothing.
    """

    session: str


class RoomsService:
    """Rooms, participants and their tracks. Everything runs on one event loop."""

    def ice_servers(self, token: str) -> tuple[IceServer, ...]:
        """Answer `ice`: verify the token and return the ICE servers the client may use.

        Raises:
            RoomError: 20101-20107, 53200-53202: the token (tokens.md 4).
        """
        raise NotImplementedError

    async def admit(self, request: JoinRequest, tell: Tell) -> Attachment:
        """Answer `connect`: take a participant in, creating an ad-hoc room where none has the name.

        `tell` gets Joined first, before this returns, then Changed as things happen, then at most one Farewell. If
        this raises or is cancelled, nothing has changed, nothing was told and nothing will be.

        Raises:
            RoomError: 201xx and 5320x token, 53100-53102 room name, 53105 full, 53106 no such room, 53118 ended,
                53206 quota, 53403 the offer, 53104 no better code.
        """
        raise NotImplementedError

    def update(self, attachment: Attachment, request: UpdateRequest) -> None:
        """Apply `update` from the client. Tracks that cannot be published come back as failed in Published."""
        raise NotImplementedError

    def leave(self, attachment: Attachment) -> None:
        """Answer `disconnect`: the participant leaves for good. Nothing more is told."""
        raise NotImplementedError

    def link_lost(self, attachment: Attachment) -> None:
        """The socket closed without a goodbye: reconnecting for `session_timeout_s`, then disconnected.

        Fine to call after `leave`, after a Farewell, or for an attachment that was superseded: does nothing then.
        """
        raise NotImplementedError

    async def resume(self, request: ResumeRequest, tell: Tell) -> Attachment:
        """Answer `sync`: move a living session to this socket; `tell` gets Resumed first, the older socket Superseded.

        Raises:
            RoomError: 201xx the token, 53001 unknown session, 53002 expired session, 53118 the room has ended.
        """
        raise NotImplementedError
