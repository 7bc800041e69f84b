"""Media signaling through the whole rooms service, with an engine whose channels are lists."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import RoomError
from appliance.media_engine import (
    Dimensions,
    Direction,
    LayersWanted,
    LinkFigures,
    LoudestSpeaker,
    PeerFigures,
    ReceivingHint,
    ReceivingProfile,
    ReceivingWishes,
    SwitchedOff,
    TrackKind,
    TrackPriority,
    VideoMode,
)
from appliance.rooms.conversation import Changed, Resumed, ResumeRequest, UpdateRequest
from appliance.rooms.publishing import TrackWish
from appliance.rooms.room import RoomSettings, RoomType
from appliance.rooms.service import ServiceSettings
from appliance.rooms.side_channels import MOST_REPORTS_AT_ONCE
from appliance.rooms.subscribe_rules import EXCLUDE_ALL
from appliance.sids import TrackSid
from appliance.signaling.side_channels import Channel
from tests.support.conditions import until
from tests.support.fake_media_engine import FakePeer
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, microphone, running_rooms

EVERYTHING = frozenset(channel.value for channel in Channel)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path, clock=clock) as running:
        yield running


def camera(name: str = "cam", priority: TrackPriority = TrackPriority.STANDARD) -> TrackWish:
    return TrackWish(id=f"id-{name}", kind=TrackKind.VIDEO, name=name, priority=priority)


class Listener:
    """A client with channels, as seen from the engine's end of them."""

    def __init__(self, running: RunningRooms, client: Client) -> None:
        self.client = client
        self.sid = client.joined.participant.sid
        self.peer: FakePeer = running.engine.peer(self.sid)
        self.labels = dict(client.joined.media_signaling)

    async def ready(self) -> "Listener":
        """Say on every channel that we listen."""
        for label in self.labels.values():
            await until(f"{label} is open", partial(self.peer.data.open.__contains__, label))
            self.peer.data.write(label, '{"type":"ready"}')
        return self

    def say(self, channel: str, **body: Any) -> None:
        self.peer.data.write(self.labels[channel], json.dumps({"type": channel, **body}))

    def heard(self, channel: str) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.peer.data.texts(self.labels[channel])]

    async def hears(self, channel: str, count: int = 1) -> dict[str, Any]:
        """Wait for so many messages on a channel; return the last."""
        await until(f"{count} messages on {channel}", lambda: len(self.heard(channel)) >= count)
        return self.heard(channel)[-1]

    async def relabelled(self) -> "Listener":
        """Wait until the client was told new labels for all channels."""
        await until("new labels", lambda: self._news().keys() == self.labels.keys())
        self.labels = self._news()
        return self

    def _news(self) -> dict[str, str]:
        told = [message.media_signaling for message in self.client.told if isinstance(message, Changed)]
        return {name: label for labels in told for name, label in labels.items()}


async def joins(running: RunningRooms, identity: str, *tracks: TrackWish, **more: Any) -> Listener:
    client = running.client(identity)
    await client.join("lobby", *tracks, **{"channels": EVERYTHING, **more})
    return await Listener(running, client).ready()


def track_of(listener: Listener, name: str = "cam") -> TrackSid:
    return next(track.sid for track in listener.client.joined.participant.tracks if track.name == name)


def update(client: Client, revision: int, *tracks: TrackWish, **more: Any) -> None:
    client.service.update(client.here, UpdateRequest(revision=revision, tracks=tracks, **more))


# --- grants -----------------------------------------------------------------------------------------------------------


async def test_channels_that_are_asked_for_are_granted_and_opened(running: RunningRooms) -> None:
    ann = await joins(running, "ann")

    assert ann.labels.keys() == EVERYTHING - {"extension_transcriptions"}
    assert len(set(ann.labels.values())) == 6
    assert ann.peer.data.open == set(ann.labels.values())
    assert ann.peer.layer_hints


async def test_who_asks_for_nothing_gets_no_channel(running: RunningRooms) -> None:
    ann = await joins(running, "ann", channels=frozenset())

    assert ann.labels == {}
    assert ann.peer.data.open == set()
    assert not ann.peer.layer_hints
    assert ann.peer.allotted == [ReceivingWishes()]


async def test_two_in_a_room_have_labels_of_their_own(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann"), await joins(running, "bob")

    assert set(ann.labels.values()).isdisjoint(bob.labels.values())


async def test_no_dominant_speaker_outside_of_group_rooms(tmp_path: Path) -> None:
    settings = ServiceSettings(ad_hoc_settings=RoomSettings(type=RoomType.GO))
    async with running_rooms(tmp_path, settings) as running:
        ann = await joins(running, "ann")

    assert "active_speaker" not in ann.labels
    assert "network_quality" in ann.labels


# --- channels come and go ---------------------------------------------------------------------------------------------


async def test_channels_of_a_new_connection_have_new_labels_and_work(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann"), await joins(running, "bob")
    before = set(ann.labels.values())

    ann.peer.data.close()
    await (await ann.relabelled()).ready()

    assert before.isdisjoint(ann.labels.values())
    assert ann.peer.data.wanted == set(ann.labels.values())
    ann.peer.say(LoudestSpeaker(participant_sid=bob.sid))
    assert await ann.hears("active_speaker", 2) == {"type": "active_speaker", "participant": bob.sid}


async def test_who_comes_back_is_told_of_the_channels_again(running: RunningRooms) -> None:
    ann = await joins(running, "ann")
    ann.client.service.link_lost(ann.client.here)
    ann.peer.data.close()
    await until("new channels", lambda: len(ann.peer.data.open) == 6)

    request = ResumeRequest(token=ann.client.token, session=ann.client.joined.session, revision=1, tracks=())
    ann.client.attachment = await running.service.resume(request, ann.client.told.append)

    resumed = next(message for message in ann.client.told if isinstance(message, Resumed))
    assert set(resumed.media_signaling.values()) == ann.peer.data.open
    assert resumed.media_signaling.keys() == ann.labels.keys()


async def test_a_service_that_was_restarted_grants_again_what_was_asked_for(tmp_path: Path) -> None:
    profile = ReceivingProfile(
        mode=VideoMode.COLLABORATION, max_tracks=3, render_dimensions={TrackPriority.LOW: Dimensions(width=9, height=5)}
    )
    wanted = frozenset({"active_speaker", "network_quality"})
    async with running_rooms(tmp_path) as running:
        ann = await joins(running, "ann", channels=wanted, profile=profile)
    async with running_rooms(tmp_path) as running:
        client = running.client("ann")
        client.told = ann.client.told
        session = ann.client.joined.session
        request = ResumeRequest(token=client.token, session=session, revision=1, tracks=())
        client.attachment = await running.service.resume(request, client.told.append)
        again = await Listener(running, client).relabelled()

        resumed = next(message for message in client.told if isinstance(message, Resumed))
        assert resumed.session == session
        assert resumed.media_signaling == again.labels
        assert again.labels.keys() == wanted
        assert again.peer.allotted == [ReceivingWishes(profile=profile)]
        await again.ready()
        again.peer.say(LoudestSpeaker(participant_sid=again.sid))
        await again.hears("active_speaker", 2)
        client.service.link_lost(client.here)
        await running.service.resume(request, client.told.append)


async def test_a_session_with_wishes_that_we_never_wrote_is_none_of_ours(running: RunningRooms) -> None:
    ann = await joins(running, "ann")
    session = ann.client.joined.session
    for forged in (
        session[:-1] + "x",
        session + ".x",
        session.replace(".", ".x", 1),
        ".".join("RPxyz"),
        "\ud800.a.b.c.d",
    ):
        request = ResumeRequest(token=ann.client.token, session=forged, revision=1, tracks=())

        with pytest.raises(RoomError) as caught:
            await running.service.resume(request, ann.client.told.append)

        assert caught.value.code == 53001


# --- the speaker ------------------------------------------------------------------------------------------------------


async def test_everybody_hears_who_speaks_and_newcomers_who_does_now(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", microphone()), await joins(running, "bob")
    for one in (ann, bob):
        one.peer.say(LoudestSpeaker(participant_sid=ann.sid))
    assert (await ann.hears("active_speaker", 2))["participant"] == ann.sid
    assert (await bob.hears("active_speaker", 2))["participant"] == ann.sid

    eve = await joins(running, "eve")

    assert (await eve.hears("active_speaker"))["participant"] == ann.sid
    assert len(ann.heard("active_speaker")) == 2


async def test_newcomers_don_t_hear_of_a_speaker_who_has_left(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", microphone()), await joins(running, "bob")
    bob.peer.say(LoudestSpeaker(participant_sid=ann.sid))
    await bob.hears("active_speaker", 2)
    running.service.leave(ann.client.here)

    eve = await joins(running, "eve")

    assert await eve.hears("active_speaker") == {"type": "active_speaker", "participant": None}


# --- switching off ----------------------------------------------------------------------------------------------------


async def test_videos_that_are_switched_off_are_told(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera()), await joins(running, "bob")
    video = track_of(ann)

    bob.peer.say(SwitchedOff(off=frozenset({video})))
    assert await bob.hears("track_switch_off") == {"type": "track_switch_off", "off": [video]}
    bob.peer.say(SwitchedOff(on=frozenset({video})))
    assert await bob.hears("track_switch_off", 2) == {"type": "track_switch_off", "on": [video]}
    assert ann.heard("track_switch_off") == []


async def test_a_video_that_is_off_before_anybody_listens_is_told_then(running: RunningRooms) -> None:
    ann = await joins(running, "ann", camera())
    bob = running.client("bob")
    await bob.join("lobby", channels=EVERYTHING)
    listener = Listener(running, bob)
    listener.peer.say(SwitchedOff(off=frozenset({track_of(ann)})))

    await listener.ready()

    assert await listener.hears("track_switch_off") == {"type": "track_switch_off", "off": [track_of(ann)]}


async def test_a_video_that_is_unsubscribed_while_off_is_on_when_it_comes_again(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera()), await joins(running, "bob")
    bob.peer.say(SwitchedOff(off=frozenset({track_of(ann)})))
    await bob.hears("track_switch_off")
    account = running.credentials.account_sid
    room = bob.client.joined.room_sid

    await running.service.set_rules(account, room, bob.sid, EXCLUDE_ALL)

    assert await bob.hears("track_switch_off", 2) == {"type": "track_switch_off", "on": [track_of(ann)]}


# --- what a client wants to receive -----------------------------------------------------------------------------------


async def test_the_engine_is_told_the_profile_with_the_first_offer_and_every_change_of_it(
    running: RunningRooms,
) -> None:
    first, second = ReceivingProfile(max_tracks=2), ReceivingProfile(max_bitrate_bps=500_000)
    bob = await joins(running, "bob", profile=first)
    assert bob.peer.allotted == [ReceivingWishes(profile=first)]

    update(bob.client, 1, profile=second)
    update(bob.client, 1)

    assert bob.peer.allotted[1:] == [ReceivingWishes(profile=second)]


async def test_render_hints_reach_the_engine_and_are_answered(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera(), microphone()), await joins(running, "bob")
    video = track_of(ann)
    hints = [
        {"track": video, "enabled": True, "render_dimensions": {"width": 320, "height": 180}},
        {"track": track_of(ann, "mic"), "enabled": True},
        {"track": "MT" + "0" * 32, "enabled": False},
    ]

    bob.say("render_hints", subscriber={"id": 7, "hints": hints})

    answer = await bob.hears("render_hints")
    assert answer["subscriber"]["id"] == 7
    assert [hint["result"] for hint in answer["subscriber"]["hints"]] == ["OK", "INVALID_HINT", "UNKNOWN_TRACK"]
    size = Dimensions(width=320, height=180)
    assert bob.peer.allotted[-1].hints == {video: ReceivingHint(visible=True, dimensions=size)}
    bob.say("render_hints", subscriber={"id": 8, "hints": [{"track": video, "enabled": False}]})
    assert (await bob.hears("render_hints", 2))["subscriber"] == {"id": 8, "hints": [{"track": video, "result": "OK"}]}
    assert bob.peer.allotted[-1].hints == {video: ReceivingHint(visible=False, dimensions=size)}


async def test_a_priority_reaches_the_engine_and_is_not_answered(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera()), await joins(running, "bob")
    video = track_of(ann)

    bob.say("track_priority", track=video, subscribe="high")
    await until("the engine knows", lambda: len(bob.peer.allotted) == 2)
    assert bob.peer.allotted[-1].hints == {video: ReceivingHint(priority=TrackPriority.HIGH)}
    bob.say("track_priority", track=video, subscribe=None)
    await until("the engine knows", lambda: len(bob.peer.allotted) == 3)

    assert bob.peer.allotted[-1].hints == {}
    assert bob.heard("track_priority") == []


async def test_what_was_said_of_a_track_ends_with_it(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera()), await joins(running, "bob")
    bob.say("render_hints", subscriber={"id": 1, "hints": [{"track": track_of(ann), "enabled": False}]})
    await bob.hears("render_hints")

    update(ann.client, 2)

    assert bob.peer.allotted[-1].hints == {}


async def test_a_priority_of_the_publisher_reaches_the_engine_and_the_others(running: RunningRooms) -> None:
    ann, bob = await joins(running, "ann", camera()), await joins(running, "bob")
    assert [track.priority for track in ann.peer.published] == [TrackPriority.STANDARD]

    update(ann.client, 2, camera(priority=TrackPriority.HIGH))

    assert [track.priority for track in ann.peer.published] == [TrackPriority.HIGH]
    assert [track.priority for track in bob.client.seen[-1].tracks] == [TrackPriority.HIGH]
    eve = await joins(running, "eve", camera("slides", TrackPriority.LOW))
    assert [track.priority for track in eve.peer.published] == [TrackPriority.LOW]


# --- layers -----------------------------------------------------------------------------------------------------------


async def test_layers_of_use_are_hinted_and_a_reset_is_passed_on(running: RunningRooms) -> None:
    ann = await joins(running, "ann", camera())
    video = track_of(ann)

    ann.peer.say(LayersWanted(track_sid=video, layers=(True, False)))
    ann.peer.say(LayersWanted(track_sid=video, layers=None))

    last = await ann.hears("publisher_hints", 2)
    first = ann.heard("publisher_hints")[0]
    layers = [{"layer_index": 0, "enabled": True}, {"layer_index": 1, "enabled": False}]
    assert first["publisher"] == {"id": 1, "hints": [{"track": video, "encodings": layers}]}
    assert last["publisher"] == {"id": 2, "hints": [{"track": video, "encodings": None}]}
    ann.say("publisher_hints", id=2, hints=[{"track": video, "result": "COULD_NOT_APPLY_HINT"}])
    ann.peer.data.write(ann.labels["publisher_hints"], json.dumps({"type": "client_reset", "track": video, "id": 1}))
    foreign = {"type": "client_reset", "track": "MT" + "0" * 32, "id": 2}
    ann.peer.data.write(ann.labels["publisher_hints"], json.dumps(foreign))
    await until("the engine knows", lambda: ann.peer.resets)
    assert ann.peer.resets == [video]


# --- network quality --------------------------------------------------------------------------------------------------


def lossy(fraction: float) -> PeerFigures:
    links = {(Direction.RECEIVE, TrackKind.AUDIO): LinkFigures(bitrate_bps=30_000, fraction_lost=fraction)}
    return PeerFigures(connected=True, rtt_s=0.02, links=links)


async def test_every_report_is_answered_as_verbosely_as_it_asks(running: RunningRooms, clock: ManualClock) -> None:
    ann, bob = await joins(running, "ann"), await joins(running, "bob")
    ann.peer.measured, bob.peer.measured = lossy(0.0), lossy(0.15)

    bob.say("network_quality")
    await bob.hears("network_quality")
    clock.advance(1.0)

    ann.say("network_quality", reportLevel=1, remoteReportLevel=0)
    assert await ann.hears("network_quality") == {"type": "network_quality", "local": 5}
    ann.say("network_quality", reportLevel=1, remoteReportLevel=1)
    assert await ann.hears("network_quality", 2) == {
        "type": "network_quality",
        "local": 5,
        "remotes": [{"sid": bob.sid, "level": 2}],
    }
    ann.say("network_quality", reportLevel=3, remoteReportLevel=2)
    full = await ann.hears("network_quality", 3)
    assert full["local"]["audio"]["recvStats"]["bandwidth"] == {"actual": 30_000}
    assert full["remotes"] == [
        {"sid": bob.sid, "level": 2, "audio": {"send": 5, "recv": 2}, "video": {"send": 5, "recv": 5}}
    ]
    ann.peer.data.write(ann.labels["network_quality"], '{"type":"network_quality","ice":"?","reportLevel":-3}')
    assert (await ann.hears("network_quality", 4))["local"] == 5


async def test_who_is_still_on_the_way_has_no_level_and_who_is_lost_has_the_lowest(
    running: RunningRooms, clock: ManualClock
) -> None:
    ann, bob = await joins(running, "ann"), await joins(running, "bob")
    ann.peer.measured = lossy(0.0)
    ann.say("network_quality", remoteReportLevel=1)
    assert (await ann.hears("network_quality"))["remotes"] == []

    bob.peer.measured = lossy(0.0)
    ann.say("network_quality", remoteReportLevel=1)
    assert (await ann.hears("network_quality", 2))["remotes"] == [{"sid": bob.sid, "level": 5}]
    bob.peer.measured = PeerFigures(connected=False)
    clock.advance(1.0)
    ann.say("network_quality", remoteReportLevel=3)

    assert (await ann.hears("network_quality", 3))["remotes"] == [{"sid": bob.sid, "level": 0}]


async def test_a_level_follows_the_figures_and_not_the_number_of_questions(
    running: RunningRooms, clock: ManualClock
) -> None:
    ann = await joins(running, "ann")
    ann.peer.measured = lossy(0.0)
    ann.say("network_quality")
    await ann.hears("network_quality")
    ann.peer.measured = lossy(0.15)

    for asked in range(2, 8):
        ann.say("network_quality")
        assert (await ann.hears("network_quality", asked))["local"] == 5, "no time has passed"
    for asked, level in ((8, 5), (9, 2)):
        clock.advance(1.0)
        ann.say("network_quality")
        assert (await ann.hears("network_quality", asked))["local"] == level


# --- who misbehaves ---------------------------------------------------------------------------------------------------


async def test_nonsense_and_floods_on_channels_cost_nobody_else_anything(running: RunningRooms) -> None:
    ann, eve = await joins(running, "ann"), await joins(running, "eve")
    ann.peer.measured = lossy(0.0)
    for label in eve.labels.values():
        for nonsense in ("", "null", "[" * 5000, '{"type":"ready","type":"x"}', '{"type":"render_hints"}', "\x00"):
            eve.peer.data.write(label, nonsense)
    for _ in range(3000):
        eve.say("network_quality", reportLevel=3, remoteReportLevel=3)

    ann.say("network_quality")

    assert (await ann.hears("network_quality"))["local"] == 5
    assert 0 < len(eve.heard("network_quality")) <= MOST_REPORTS_AT_ONCE
