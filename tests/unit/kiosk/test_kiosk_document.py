"""The state document (kiosk.md 10)."""

import json
from dataclasses import replace

from appliance.kiosk.document import document, public_document
from appliance.kiosk.inputs import Capturing, GuestInvited, Join, LinkQuality, PeopleChanged, SetMicrophone
from appliance.kiosk.state import Guest
from tests.support import kiosk_documents
from tests.support.kiosk_story import ANNA, Story


def test_it_has_every_key_that_the_panel_was_made_for() -> None:
    story = Story.in_room()
    tree = document(story.state, story.now)
    assert set(kiosk_documents.in_room()) <= set(tree)
    json.dumps(tree)


def test_it_tells_the_device_and_the_wish_apart() -> None:
    story = Story.in_room()
    story.tell(Capturing(what="microphone", live=True))
    story.ask(SetMicrophone(muted=True))
    tree = document(story.state, story.now)
    assert (tree["mic"], tree["mic_live"]) == ("muted", True)
    assert tree["lamps"] == {"mute": "solid", "live": "solid", "status": "solid"}
    assert tree["line"]["cut"]["word_key"] == "mic.muted"


def test_ourselves_count_among_the_participants() -> None:
    story = Story.in_room()
    room = document(story.state, story.now)["room"]
    assert (room["participants"], room["sid"], room["participant_sid"]) == (2, "RM1", "PA0")


def test_it_tells_who_is_large_who_speaks_and_how_good_the_links_are_in_four_steps() -> None:
    story = Story.in_room()
    bert = replace(ANNA, sid="PA2", name="bert", speaking=True, link=1)
    story.tell(PeopleChanged(attempt=story.attempt, people=(ANNA, bert), dominant_speaker="PA2"))
    story.tell(LinkQuality(5))
    tree = document(story.state, story.now)

    assert tree["layout"]["spotlight"] == "PA2"
    assert tree["room"]["dominant_speaker"] == "PA2"
    assert tree["quality"]["score"] == 4
    assert [(person["speaking"], person["link"]) for person in tree["people"]] == [(False, None), (True, 1)]


def test_on_the_way_nobody_is_counted_yet() -> None:
    story = Story.idle()
    story.ask(Join())
    assert document(story.state, story.now)["room"]["participants"] == 0


def test_what_is_published_to_the_broker_invites_nobody() -> None:
    story = Story.idle()
    story.tell(GuestInvited(Guest(link="https://rooms/join/lobby#secret", address="rooms/join/lobby")))
    assert document(story.state, story.now)["guest"]["link"].endswith("#secret")
    assert "secret" not in json.dumps(public_document(story.state, story.now))
    assert public_document(story.state, story.now)["guest"]["address"] == "rooms/join/lobby"


def test_a_token_is_in_no_document() -> None:
    story = Story.idle()
    story.ask(replace(Join(), token="canary-token"))
    assert "canary-token" not in json.dumps(document(story.state, story.now))
    assert "canary-token" not in repr(story.state)
    assert "canary-token" not in repr(story.effects)
