"""Whatever becomes of connections, a client that listens knows in the end what is off, who speaks and what is wanted.

The client is a model of the SDK's: it heeds a label only while it has no channel, and what is under way on a connection
is lost with it.
"""

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from appliance.rooms.side_channels import MOST_OPENINGS, SideChannels
from appliance.sids import ParticipantSid, TrackSid
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    PublisherHints,
    ServiceChannelMessage,
    TrackSwitchOff,
)

TRACKS = [TrackSid(f"MT{number}") for number in range(4)]
SPEAKERS = [None, ParticipantSid("PAann"), ParticipantSid("PAbob")]
LAYERS = [None, (True, True), (True, False)]
TOLD = (Channel.ACTIVE_SPEAKER, Channel.TRACK_SWITCH_OFF, Channel.PUBLISHER_HINTS)


class Client:
    """One channel as the SDK's MediaSignaling has it: `label` it was told, `attached` once the channel is there."""

    def __init__(self, label: str) -> None:
        self.label: str | None = label
        self.attached = False

    def told(self, label: str) -> None:
        if self.label is None:
            self.label = label

    def channel_is_there(self, label: str) -> bool:
        """Tell whether it attaches now."""
        if self.label == label and not self.attached:
            self.attached = True
            return True
        return False

    def connection_is_gone(self) -> None:
        """A client that still waits for a label goes on doing so."""
        if self.attached:
            self.label, self.attached = None, False


class Conversation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        numbers = count(1)
        self.service = SideChannels(TOLD, label_for=lambda channel: f"{channel.value}-{next(numbers)}")
        self.clients = {Channel(name): Client(label) for name, label in self.service.labels.items()}
        self.open: set[str] = set()  # labels of channels that both ends have
        self.under_way: list[ServiceChannelMessage] = []
        self.speaker: ParticipantSid | None = None
        self.off: set[TrackSid] = set()
        self.layers: dict[TrackSid, tuple[bool, ...] | None] = {}
        self.shown_speaker: str | None = None
        self.shown_off: set[str] = set()
        self.heeded: dict[str, tuple[bool, ...] | None] = {}
        self.last_hint = 0
        self.deaths = 0

    # --- the connection ---

    @rule(channel=st.sampled_from(TOLD), taken=st.booleans())
    def a_channel_opens(self, channel: Channel, taken: bool) -> None:
        """`taken` False: the client has it, but the connection dies before the service learns that."""
        label = self.service.labels[channel.value]
        if label in self.open:
            return
        self.open.add(label)
        client = self.clients[channel]
        if taken:
            for name, told in self.service.opened(label).items():
                self.clients[Channel(name)].told(told)
        if client.channel_is_there(label):
            self._ready(label, channel)

    def _ready(self, label: str, channel: Channel) -> None:
        said = self.service.greet(label)
        if channel is Channel.ACTIVE_SPEAKER:
            said = self.service.speaker(self.speaker, repeat=True)
        self.under_way += said

    @precondition(lambda self: self.deaths < MOST_OPENINGS - 2)
    @rule()
    def the_connection_dies(self) -> None:
        self.deaths += 1
        self.under_way.clear()
        for client in self.clients.values():
            client.connection_is_gone()
        for label in sorted(self.open):
            self.service.closed(label)
        self.open.clear()

    @rule()
    def something_arrives(self) -> None:
        if self.under_way:
            self._arrives(self.under_way.pop(0))

    def _arrives(self, message: ServiceChannelMessage) -> None:
        match message:
            case ActiveSpeaker(participant=sid):
                self.shown_speaker = sid
            case TrackSwitchOff(off=off, on=on):
                self.shown_off = (self.shown_off - set(on)) | set(off)
            case PublisherHints(id=number, hints=hints):
                assert number > self.last_hint
                self.last_hint = number
                for hint in hints:
                    layers = hint.encodings
                    self.heeded[hint.track] = None if layers is None else tuple(each.enabled for each in layers)

    # --- what happens in the room ---

    @rule(speaker=st.sampled_from(SPEAKERS))
    def somebody_speaks(self, speaker: ParticipantSid | None) -> None:
        self.speaker = speaker
        self.under_way += self.service.speaker(speaker)

    @rule(track=st.sampled_from(TRACKS), off=st.booleans())
    def a_video_is_switched(self, track: TrackSid, off: bool) -> None:
        (self.off.add if off else self.off.discard)(track)
        one = frozenset({track})
        self.under_way += self.service.switched(one if off else frozenset(), frozenset() if off else one)

    @rule(tracks=st.sets(st.sampled_from(TRACKS)))
    def others_are_received(self, tracks: set[TrackSid]) -> None:
        self.off &= tracks
        said, _ = self.service.receives(frozenset(tracks))
        self.under_way += said

    @rule(track=st.sampled_from(TRACKS), layers=st.sampled_from(LAYERS))
    def layers_are_wanted(self, track: TrackSid, layers: tuple[bool, ...] | None) -> None:
        self.layers[track] = layers
        self.under_way += self.service.layers_wanted(track, layers)

    # --- what holds ---

    @invariant()
    def labels_are_never_shared(self) -> None:
        assert len(set(self.service.labels.values())) == len(TOLD)

    def teardown(self) -> None:
        """In the end every channel is open on a new connection, and all that was said arrives."""
        self.the_connection_dies()
        for channel in TOLD:
            self.a_channel_opens(channel, taken=True)
        while self.under_way:
            self.something_arrives()
        assert all(client.attached for client in self.clients.values()), "a client waits for a label of the past"
        assert self.shown_speaker == self.speaker
        assert self.shown_off == self.off
        assert {track: self.heeded.get(track) for track in self.layers} == self.layers


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
