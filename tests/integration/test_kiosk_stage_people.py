"""The stage inside a room: who is there, what they send, how the room ends; told to state, screen and loudspeaker."""

from appliance.client.participants import NetworkQualityStats
from appliance.errors import (
    ParticipantDuplicateIdentityError,
    RoomCompletedError,
    TrackServerTrackCapacityReachedError,
)
from appliance.kiosk.effects import CloseRoom
from appliance.kiosk.inputs import (
    IssueSeen,
    LinkQuality,
    PeopleChanged,
    RoomClosed,
    RoomConnected,
    RoomEventSeen,
    RoomInterrupted,
    RoomLost,
    RoomResumed,
)
from appliance.kiosk.state import Phase
from appliance.media_engine import Dimensions, TrackKind
from tests.support.kiosk_fakes import FakeRoom
from tests.support.kiosk_story import of_kind
from tests.support.kiosk_theatre import Theatre, in_room, order


async def test_people_and_their_tracks_reach_state_screen_loudspeaker_and_events() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        anna = theatre.room.come("PA1", "anna")
        theatre.room.publish(anna, "MT1", TrackKind.AUDIO)
        theatre.room.publish(anna, "MT2", TrackKind.VIDEO)
        person = (await theatre.heard(PeopleChanged)).people[0]
        assert (person.name, person.microphone, person.camera, person.video) == ("anna", "on", "on", "MT2")
        assert theatre.sound.voices == {"MT1"}
        stage.look(in_room(theatre))
        assert "MT2" in theatre.screen.slots

        theatre.room.switch(anna, "MT1", False)
        assert of_kind(theatre.told, PeopleChanged)[-1].people[0].microphone == "off"
        theatre.room.unsubscribe(anna, "MT1")
        theatre.room.unsubscribe(anna, "MT2")
        assert theatre.sound.voices == set()
        assert "MT2" not in theatre.screen.slots

        theatre.room.go(anna)
        assert of_kind(theatre.told, PeopleChanged)[-1].people == ()
        events = [event.type for event in of_kind(theatre.told, RoomEventSeen)]
        assert events == [
            "participant-connected",
            "track-added",
            "track-added",
            "track-disabled",
            "participant-disconnected",
        ]
        added = of_kind(theatre.told, RoomEventSeen)[1].data
        assert (added["RoomSid"], added["ParticipantIdentity"], added["TrackSid"], added["TrackKind"]) == (
            "RM1",
            "anna",
            "MT1",
            "audio",
        )
        assert all(isinstance(value, str) for value in added.values())


async def test_who_is_there_already_is_told_with_the_connection() -> None:
    theatre = Theatre()
    anna = theatre.room.come("PA1", "anna")
    theatre.room.publish(anna, "MT1", TrackKind.AUDIO)
    async with theatre.stage() as stage:
        stage.perform(order())
        connected = await theatre.heard(RoomConnected)
        assert [person.name for person in connected.people] == ["anna"]
        assert theatre.sound.voices == {"MT1"}
        events = [event.type for event in of_kind(theatre.told, RoomEventSeen)]
        assert events == ["participant-connected", "track-added"]


async def test_the_links_troubles_are_told() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.emit("reconnecting", ParticipantDuplicateIdentityError())
        theatre.room.emit("reconnected")
        theatre.room.end(ParticipantDuplicateIdentityError())
        assert of_kind(theatre.told, RoomInterrupted)
        assert of_kind(theatre.told, RoomResumed)
        assert (await theatre.heard(RoomLost)).code == 53205


async def test_being_removed_without_a_word_has_no_number_and_an_ended_room_is_an_event() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.end(None)
        assert (await theatre.heard(RoomLost)).code is None
        theatre.room = FakeRoom()
        stage.perform(order(2, keep_devices=True))
        await theatre.heard(RoomConnected, 2)
        theatre.room.end(RoomCompletedError())
        ended = await theatre.heard(RoomEventSeen)
        assert (ended.type, ended.data["RoomStatus"]) == ("room-ended", "completed")


async def test_a_track_that_is_refused_is_an_issue_and_the_call_goes_on() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.local_participant.emit(
            "track_publication_failed", TrackServerTrackCapacityReachedError(), theatre.tracks[0]
        )
        seen = await theatre.heard(IssueSeen)
        assert (seen.code, seen.present) == ("track_failed", True)
        assert stage.call is not None


async def test_each_video_comes_as_large_as_it_is_shown_and_what_is_not_shown_does_not_come() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        for number in range(8):
            person = theatre.room.come(f"PA{number}", f"Person {number}")
            theatre.room.publish(person, f"MT{number}", TrackKind.VIDEO)
        theatre.room.publish(person, "MT-second", TrackKind.VIDEO)
        wanted = theatre.room.steering.wanted

        stage.look(in_room(theatre, spotlight="PA7"))
        assert wanted["MT7"] == (True, Dimensions(width=1543, height=868))
        assert wanted["MT0"] == (True, Dimensions(width=234, height=132))
        assert [sid for sid, (on, _) in wanted.items() if not on] == ["MT5", "MT6", "MT-second"]
        assert set(theatre.screen.slots) - {"self"} == {"MT0", "MT1", "MT2", "MT3", "MT4", "MT7"}

        told = list(theatre.room.steering.history)
        assert told[:2] == [("MT0", True), ("MT0", Dimensions(width=234, height=132))], "never off before it was placed"
        stage.look(in_room(theatre, spotlight="PA7"))
        stage.look(in_room(theatre, Phase.RECONNECTING))
        assert theatre.room.steering.history == told

        stage.look(in_room(theatre, spotlight="PA6"))
        assert wanted["MT6"] == (True, Dimensions(width=1543, height=868))
        assert wanted["MT7"][0] is False
        assert "MT7" not in theatre.screen.slots


async def test_a_video_that_was_switched_off_leaves_initials_and_no_still_picture() -> None:
    theatre = Theatre()
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        anna = theatre.room.come("PA1", "anna")
        theatre.room.publish(anna, "MT2", TrackKind.VIDEO)
        stage.look(in_room(theatre))

        theatre.room.switch_off(anna, "MT2")
        off = of_kind(theatre.told, PeopleChanged)[-1].people[0]
        slots = set(theatre.screen.slots)
        theatre.room.switch_off(anna, "MT2", off=False)

        assert (off.video, off.camera, slots) == (None, "on", {"self"})
        assert of_kind(theatre.told, PeopleChanged)[-1].people[0].video == "MT2"
        assert "MT2" in theatre.screen.slots
        assert theatre.room.steering.wanted["MT2"][0] is True, "it is still looked at"


async def test_speakers_and_how_good_the_links_are_reach_the_state() -> None:
    theatre = Theatre()
    theatre.room.come("PA1", "anna")
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        [anna] = theatre.room.participants.values()

        theatre.room.speak(anna)
        theatre.room.local_participant.change_quality(NetworkQualityStats(level=2))
        anna.change_quality(NetworkQualityStats(level=5))
        last = of_kind(theatre.told, PeopleChanged)[-1]
        stage.perform(CloseRoom(1))
        await theatre.heard(RoomClosed)

        assert (last.dominant_speaker, last.people[0].speaking, last.people[0].link) == ("PA1", True, 5)
        assert of_kind(theatre.told, LinkQuality) == [LinkQuality(2), LinkQuality(None)]


async def test_without_a_screen_no_video_is_received_at_all() -> None:
    theatre = Theatre()
    theatre.has_screen = False
    async with theatre.stage() as stage:
        stage.perform(order())
        await theatre.heard(RoomConnected)
        theatre.room.publish(theatre.room.come("PA1", "anna"), "MT2", TrackKind.VIDEO)

        stage.look(in_room(theatre))

        assert theatre.room.steering.wanted == {"MT2": (False, None)}
