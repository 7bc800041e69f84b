"""Between what the service says and hears, as values, and the room messages of signaling. Pure."""

from collections.abc import Iterable

from appliance.media_engine import ReceivingProfile, Subscription, SwitchOffMode, VideoMode
from appliance.rooms import conversation
from appliance.rooms.conversation import Changed, Joined, JoinRequest, Resumed, ResumeRequest, UpdateRequest
from appliance.rooms.publishing import TrackWish
from appliance.rooms.subscribe_rules import RuleType, SubscribeRule
from appliance.signaling.messages import (
    ClientUpdate,
    ConnectedMessage,
    ConnectionOptions,
    ConnectMessage,
    ServerUpdate,
    SyncedMessage,
    SyncMessage,
)
from appliance.signaling.states import (
    LocalTrackState,
    OwnParticipantState,
    ParticipantState,
    PublicationState,
    PublishedState,
    PublishedTrackState,
    RecordingState,
    RemoteParticipantState,
    RemoteTrackState,
    SubscribedState,
    SubscribedTrackState,
    TrackError,
)
from appliance.signaling.wishes import BandwidthProfile, SubscribeState

# --- from the client -------------------------------------------------------------------------------------------------


def join_request(message: ConnectMessage) -> JoinRequest:
    return JoinRequest(
        token=message.token,
        room=message.name,
        revision=message.participant.revision,
        tracks=_wishes(message.participant.tracks),
        peer_connections=message.peer_connections,
        rules=_rules(message.subscribe),
        channels=message.media_signaling,
        profile=receiving_profile(message.bandwidth_profile),
    )


def update_request(message: ClientUpdate) -> UpdateRequest:
    return UpdateRequest(
        revision=message.participant.revision,
        tracks=_wishes(message.participant.tracks),
        peer_connections=message.peer_connections,
        profile=receiving_profile(message.bandwidth_profile),
    )


def resume_request(message: SyncMessage) -> ResumeRequest:
    return ResumeRequest(
        token=message.token,
        session=message.session,
        revision=message.participant.revision,
        tracks=_wishes(message.participant.tracks),
        peer_connections=message.peer_connections,
    )


def _wishes(tracks: Iterable[LocalTrackState]) -> tuple[TrackWish, ...]:
    return tuple(
        TrackWish(id=track.id, kind=track.kind, name=track.name, enabled=track.enabled, priority=track.priority)
        for track in tracks
    )


def _rules(subscribe: SubscribeState) -> tuple[SubscribeRule, ...]:
    # A rule without `all` names tracks in a way that no client's message has; it selects nothing.
    return tuple(SubscribeRule(type=RuleType(rule.type.value), all=True) for rule in subscribe.rules if rule.all)


def receiving_profile(profile: BandwidthProfile | None) -> ReceivingProfile | None:
    """Return what a bandwidth profile asks of the engine; what it leaves open is as the SDK documents its options.

    A limit of 0, or below, is none: nobody who asks for a profile wants no video at all.
    """
    if profile is None:
        return None
    bandwidth = int(profile.max_subscription_bandwidth or 0)
    return ReceivingProfile(
        mode=profile.mode or VideoMode.GRID,
        active_speaker_priority=profile.active_speaker_priority,
        max_bitrate_bps=bandwidth if bandwidth > 0 else None,
        max_tracks=profile.max_tracks or None,
        switch_off=profile.track_switch_off or SwitchOffMode.PREDICTED,
        render_dimensions=profile.render_dimensions,
    )


def bandwidth_profile_of(profile: ReceivingProfile) -> BandwidthProfile:
    """Return the bandwidth profile that `receiving_profile` makes this one of."""
    return BandwidthProfile(
        mode=profile.mode,
        active_speaker_priority=profile.active_speaker_priority,
        max_subscription_bandwidth=profile.max_bitrate_bps,
        max_tracks=profile.max_tracks,
        track_switch_off=profile.switch_off,
        render_dimensions=profile.render_dimensions,
    )


# --- to the client ---------------------------------------------------------------------------------------------------


def connected_message(joined: Joined) -> ConnectedMessage:
    return ConnectedMessage(
        session=joined.session,
        sid=joined.room_sid,
        name=joined.room_name,
        participant=_own(joined.participant),
        options=ConnectionOptions(
            session_timeout_s=joined.session_timeout_s,
            signaling_region=joined.media_region,
            media_region=joined.media_region,
        ),
        participants=_others(joined.participants),
        published=_published(joined.published),
        subscribed=_subscribed(joined.subscribed),
        peer_connections=joined.peer_connections,
        media_signaling=joined.media_signaling or None,
        recording=RecordingState(is_recording=False, revision=1),
    )


def synced_message(resumed: Resumed) -> SyncedMessage:
    return SyncedMessage(
        session=resumed.session,
        participant=_own(resumed.participant),
        participants=_others(resumed.participants),
        published=_published(resumed.published),
        subscribed=_subscribed(resumed.subscribed),
        peer_connections=resumed.peer_connections,
        media_signaling=resumed.media_signaling or None,
    )


def server_update(changed: Changed) -> ServerUpdate:
    return ServerUpdate(
        participants=_others(changed.participants) or None,
        published=_published(changed.published) if changed.published else None,
        subscribed=_subscribed(changed.subscribed) if changed.subscribed else None,
        peer_connections=changed.peer_connections or None,
        media_signaling=changed.media_signaling or None,
    )


def _own(state: conversation.ParticipantState) -> OwnParticipantState:
    return OwnParticipantState(
        sid=state.sid,
        identity=state.identity,
        state=ParticipantState(state.state.value),
        revision=state.revision,
    )


def _others(states: Iterable[conversation.ParticipantState]) -> tuple[RemoteParticipantState, ...]:
    return tuple(
        RemoteParticipantState(
            sid=state.sid,
            identity=state.identity,
            state=ParticipantState(state.state.value),
            revision=state.revision,
            tracks=tuple(_track(track) for track in state.tracks),
        )
        for state in states
    )


def _track(track: conversation.TrackState) -> RemoteTrackState:
    return RemoteTrackState(
        sid=track.sid, kind=track.kind, name=track.name, enabled=track.enabled, priority=track.priority
    )


def _published(published: conversation.Published) -> PublishedState:
    tracks = tuple(_publication(track) for track in published.tracks)
    return PublishedState(revision=published.revision, tracks=tracks)


def _publication(track: conversation.PublishedTrackState) -> PublishedTrackState:
    if track.error_code is not None:
        error = TrackError(code=track.error_code, message=track.error_message or "")
        return PublishedTrackState(id=track.id, state=PublicationState.FAILED, error=error)
    state = PublicationState.READY if track.sid else PublicationState.CREATED
    return PublishedTrackState(id=track.id, state=state, sid=track.sid)


def _subscribed(subscribed: conversation.Subscribed) -> SubscribedState:
    tracks = tuple(_subscription(track) for track in subscribed.tracks)
    return SubscribedState(revision=subscribed.revision, tracks=tracks)


def _subscription(track: Subscription) -> SubscribedTrackState:
    if track.error_code is not None:
        error = TrackError(code=track.error_code, message=track.error_message or "")
        return SubscribedTrackState(sid=track.track_sid, error=error)
    return SubscribedTrackState(sid=track.track_sid, id=track.id)
