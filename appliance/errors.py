"""Everything that can go wrong by name, in one tree.

    RoomKioskError
     ├ ConfigurationError            a file or key that cannot be used
     ├ ProtocolError
     │  ├ LocalProtocolError         our own code asked for what is not possible now
     │  └ RemoteProtocolError        the other end sent what it should not
     ├ DeviceError
     │  ├ DeviceMissing              not there, or its driver is not installed
     │  ├ DeviceBusy                 there, but another process holds it
     │  └ DeviceLost                 was open, stopped delivering
     ├ CommandRefused                the kiosk will not do this now, with a code of kiosk.md 9
     └ RoomError                     numbered, as the SDK and the REST API number them
        └ one class per number, named as in the SDK: RoomNotFoundError, …

The numbers, and where each may be sent: signaling.md 6, rest.md 15, tokens.md 4.
"""

from typing import ClassVar


class RoomKioskError(Exception):
    """Root of all errors that this project raises on purpose."""


class ConfigurationError(RoomKioskError):
    """Settings that cannot be used. `problems` holds one line each: file, line, key, rule, hint."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ProtocolError(RoomKioskError):
    """The conversation broke its rules."""


class LocalProtocolError(ProtocolError):
    """We asked for something that is not possible in this state: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The other end sent something malformed or out of turn."""


class DeviceError(RoomKioskError):
    """A device of the kiosk cannot serve. The message names the device."""


class DeviceMissing(DeviceError):
    """Not connected, or the library that drives it is not installed."""


class DeviceBusy(DeviceError):
    """Held by another process."""


class DeviceLost(DeviceError):
    """Was open and stopped delivering; open it again to go on."""


class CommandRefused(RoomKioskError):
    """The kiosk will not carry out a command now.

    `code` is one of kiosk.md 9: `invalid_request`, `policy_denied`, `invalid_state`, `busy`, …
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RoomError(RoomKioskError):
    """An error with a number that applications switch on.

    Unknown numbers from a peer are kept: `RoomError(59999, "message as sent")`.
    """

    code: int
    http_status: int = 400
    default_message: ClassVar[str] = "Unknown error"

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(message or self.default_message)
        self.code = code

    @property
    def message(self) -> str:
        return str(self)


class _NumberedRoomError(RoomError):
    number: ClassVar[int]

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.number, message)


class AccessTokenInvalidError(_NumberedRoomError):
    number = 20101
    http_status = 401
    default_message = "Invalid Access Token"


class AccessTokenHeaderInvalidError(_NumberedRoomError):
    number = 20102
    http_status = 401
    default_message = "Invalid Access Token header"


class AccessTokenIssuerInvalidError(_NumberedRoomError):
    number = 20103
    http_status = 401
    default_message = "Invalid Access Token issuer/subject"


class AccessTokenExpiredError(_NumberedRoomError):
    number = 20104
    http_status = 401
    default_message = "Access Token expired or expiration date invalid"


class AccessTokenNotYetValidError(_NumberedRoomError):
    number = 20105
    http_status = 401
    default_message = "Access Token not yet valid"


class AccessTokenGrantsInvalidError(_NumberedRoomError):
    number = 20106
    http_status = 401
    default_message = "Invalid Access Token grants"


class AccessTokenSignatureInvalidError(_NumberedRoomError):
    number = 20107
    http_status = 401
    default_message = "Invalid Access Token signature"


class SignalingConnectionError(_NumberedRoomError):
    number = 53000
    http_status = 503
    default_message = "Signaling connection error"


class SignalingConnectionDisconnectedError(_NumberedRoomError):
    number = 53001
    http_status = 503
    default_message = "Signaling connection disconnected"


class SignalingConnectionTimeoutError(_NumberedRoomError):
    number = 53002
    http_status = 503
    default_message = "Signaling connection timed out"


class SignalingIncomingMessageInvalidError(_NumberedRoomError):
    number = 53003
    http_status = 502
    default_message = "Client received an invalid signaling message"


class SignalingOutgoingMessageInvalidError(_NumberedRoomError):
    number = 53004
    http_status = 400
    default_message = "Client sent an invalid signaling message"


class SignalingServerBusyError(_NumberedRoomError):
    number = 53006
    http_status = 503
    default_message = "Video server is busy"


class RoomNameInvalidError(_NumberedRoomError):
    number = 53100
    http_status = 400
    default_message = "Room name is invalid"


class RoomNameTooLongError(_NumberedRoomError):
    number = 53101
    http_status = 400
    default_message = "Room name is too long"


class RoomNameCharsInvalidError(_NumberedRoomError):
    number = 53102
    http_status = 400
    default_message = "Room name contains invalid characters"


class RoomCreateFailedError(_NumberedRoomError):
    number = 53103
    http_status = 503
    default_message = "Unable to create room"


class RoomConnectFailedError(_NumberedRoomError):
    number = 53104
    http_status = 503
    default_message = "Unable to connect to room"


class RoomMaxParticipantsExceededError(_NumberedRoomError):
    number = 53105
    http_status = 409
    default_message = "Room contains too many participants"


class RoomNotFoundError(_NumberedRoomError):
    number = 53106
    http_status = 404
    default_message = "Room not found"


class RoomMaxParticipantsOutOfRangeError(_NumberedRoomError):
    number = 53107
    http_status = 400
    default_message = "MaxParticipants is out of range"


class RoomTypeInvalidError(_NumberedRoomError):
    number = 53108
    http_status = 400
    default_message = "RoomType is not valid"


class RoomTimeoutOutOfRangeError(_NumberedRoomError):
    number = 53109
    http_status = 400
    default_message = "Timeout is out of range"


class RoomStatusCallbackMethodInvalidError(_NumberedRoomError):
    number = 53110
    http_status = 400
    default_message = "StatusCallbackMethod is invalid"


class RoomStatusCallbackInvalidError(_NumberedRoomError):
    number = 53111
    http_status = 400
    default_message = "StatusCallback is invalid"


class RoomStatusInvalidError(_NumberedRoomError):
    number = 53112
    http_status = 400
    default_message = "Status is invalid"


class RoomRoomExistsError(_NumberedRoomError):
    number = 53113
    http_status = 400
    default_message = "Room exists"


class RoomInvalidParametersError(_NumberedRoomError):
    number = 53114
    http_status = 400
    default_message = "Room creation parameter(s) incompatible with the Room type"


class RoomMediaRegionInvalidError(_NumberedRoomError):
    number = 53115
    http_status = 400
    default_message = "MediaRegion is invalid"


class RoomCompletedError(_NumberedRoomError):
    number = 53118
    http_status = 400
    default_message = "Room completed"


class RoomQuotaExceededError(_NumberedRoomError):
    number = 53119
    http_status = 400
    default_message = "The concurrent Rooms quota was exceeded"


class SubscribeOperationNotSupportedError(_NumberedRoomError):
    number = 53117
    http_status = 400
    default_message = "The subscription operation requested is not supported for the Room type"


class SubscribeRulesInvalidError(_NumberedRoomError):
    number = 53215
    http_status = 400
    default_message = "Invalid Subscribe Rule(s)"


class RecordingRulesInvalidError(_NumberedRoomError):
    number = 53120
    http_status = 400
    default_message = "Invalid Recording Rule(s)"


class RecordingOperationNotSupportedError(_NumberedRoomError):
    number = 53122
    http_status = 400
    default_message = "The recording operation requested is not supported for the Room type"


class RoomMaxParticipantDurationOutOfRangeError(_NumberedRoomError):
    number = 53123
    http_status = 400
    default_message = "MaxParticipantDuration is out of range"


class RoomAudioOnlyFlagNotSupportedError(_NumberedRoomError):
    number = 53124
    http_status = 400
    default_message = "The AudioOnly flag is not supported for the Room type"


class RoomTrackKindNotSupportedError(_NumberedRoomError):
    number = 53125
    http_status = 400
    default_message = "The track kind is not supported by the Room"


class RoomTypeLegacyError(_NumberedRoomError):
    number = 53126
    http_status = 400
    default_message = "Legacy room type no longer supported"


class ParticipantIdentityInvalidError(_NumberedRoomError):
    number = 53200
    http_status = 400
    default_message = "Participant identity is invalid"


class ParticipantIdentityTooLongError(_NumberedRoomError):
    number = 53201
    http_status = 400
    default_message = "Participant identity is too long"


class ParticipantIdentityCharsInvalidError(_NumberedRoomError):
    number = 53202
    http_status = 400
    default_message = "Participant identity contains invalid characters"


class ParticipantMaxTracksExceededError(_NumberedRoomError):
    number = 53203
    http_status = 400
    default_message = "The maximum number of published tracks allowed in the Room at the same time has been reached"


class ParticipantDuplicateIdentityError(_NumberedRoomError):
    number = 53205
    http_status = 409
    default_message = "Participant disconnected because of duplicate identity"


class ParticipantAccountLimitExceededError(_NumberedRoomError):
    number = 53206
    http_status = 503
    default_message = "The account has reached its maximum of participants"


class ParticipantStatusInvalidError(_NumberedRoomError):
    number = 53209
    http_status = 400
    default_message = "Participant status is invalid"


class ParticipantSessionTooLongError(_NumberedRoomError):
    number = 53216
    http_status = 409
    default_message = "The participant's session was longer than the Room allows"


class TrackInvalidError(_NumberedRoomError):
    number = 53300
    http_status = 400
    default_message = "Track is invalid"


class TrackNameInvalidError(_NumberedRoomError):
    number = 53301
    http_status = 400
    default_message = "Track name is invalid"


class TrackNameTooLongError(_NumberedRoomError):
    number = 53302
    http_status = 400
    default_message = "Track name is too long"


class TrackNameCharsInvalidError(_NumberedRoomError):
    number = 53303
    http_status = 400
    default_message = "Track name contains invalid characters"


class TrackNameIsDuplicatedError(_NumberedRoomError):
    number = 53304
    http_status = 400
    default_message = "Track name is duplicated"


class TrackServerTrackCapacityReachedError(_NumberedRoomError):
    number = 53305
    http_status = 503
    default_message = "The server has reached capacity and cannot fulfill this request"


class MediaClientLocalDescFailedError(_NumberedRoomError):
    number = 53400
    http_status = 400
    default_message = "Client is unable to create or apply a local media description"


class MediaServerLocalDescFailedError(_NumberedRoomError):
    number = 53401
    http_status = 503
    default_message = "Server is unable to create or apply a local media description"


class MediaClientRemoteDescFailedError(_NumberedRoomError):
    number = 53402
    http_status = 400
    default_message = "Client is unable to apply a remote media description"


class MediaServerRemoteDescFailedError(_NumberedRoomError):
    number = 53403
    http_status = 400
    default_message = "Server is unable to apply a remote media description"


class MediaNoSupportedCodecError(_NumberedRoomError):
    number = 53404
    http_status = 400
    default_message = "No supported codec"


class MediaConnectionError(_NumberedRoomError):
    number = 53405
    http_status = 503
    default_message = "Media connection failed or Media activity ceased"


class MediaDTLSTransportFailedError(_NumberedRoomError):
    number = 53407
    http_status = 503
    default_message = "DTLS handshake failed"


class ConfigurationAcquireFailedError(_NumberedRoomError):
    number = 53500
    http_status = 503
    default_message = "Unable to acquire configuration"


class ConfigurationAcquireTurnFailedError(_NumberedRoomError):
    number = 53501
    http_status = 503
    default_message = "Unable to acquire TURN credentials"


_BY_NUMBER: dict[int, type[_NumberedRoomError]] = {kind.number: kind for kind in _NumberedRoomError.__subclasses__()}


def room_error(code: int, message: str | None = None) -> RoomError:
    """Return the error of this number as an object of its own class, or a plain RoomError for unknown numbers."""
    kind = _BY_NUMBER.get(code)
    return kind(message) if kind else RoomError(code, message)
