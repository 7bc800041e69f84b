"""Media signaling as an application of the unmodified SDK in a browser sees it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Application
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.signaling_proxy import Frame, SignalingProxy, as_it_is
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, meeting_in, module_stack, moves, subscribed

pytestmark = pytest.mark.browser

ONLY_LISTENS: dict[str, Any] = {"media": False, "data": False}

CONNECTIONS = "[...app.room._signaling._peerConnectionManager._peerConnections.values()]"

WATCH = """() => {
  const { room } = app;
  const tell = (name, detail) => app.events.push([name, detail]);
  const watch = (participant) => {
    participant.on('networkQualityLevelChanged', (level, stats) =>
      tell('networkQualityLevelChanged', { identity: participant.identity, level, stats: structuredClone(stats) }));
    for (const name of ['trackSwitchedOff', 'trackSwitchedOn']) {
      participant.on(name, (track) => tell(name, participant.identity));
    }
    participant.on('trackPublishPriorityChanged', (priority) => tell('trackPublishPriorityChanged', priority));
  };
  watch(room.localParticipant);
  room.participants.forEach(watch);
  room.on('participantConnected', watch);
  room.on('dominantSpeakerChanged', (participant) => tell('dominantSpeakerChanged', participant?.identity ?? null));
}"""

VIDEO_OF = "[...app.room.participants.values()].find((one) => one.identity === who)?.videoTracks.values().next().value"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


def join(meeting: Meeting, identity: str, options: dict[str, Any] | None = None, **how: Any) -> Application:
    page = meeting.join(identity, options=options or {}, **how)
    page.page.evaluate(WATCH)
    return page


CHANNELS = """[app.room._signaling._dominantSpeakerSignaling, app.room._signaling._networkQualitySignaling]
  .map((one) => one._transport?._dataChannel.label)"""


def replace_the_connection(proxy: SignalingProxy) -> None:
    """Break the service's next offer, so that it gives the connection up for another one."""

    def meddle(way: str, frame: Frame) -> Frame | None:
        for entry in (frame.get("body") or {}).get("peer_connections") or () if way == "down" else ():
            description = entry.get("description") or {}
            if description.get("type") == "create-offer":
                proxy.meddle = as_it_is
            elif description.get("type") == "offer":
                description["sdp"] = description["sdp"].replace("a=mid:", "a=mid:x")
        return frame

    proxy.meddle = meddle


def of_video(page: Application, identity: str, what: str) -> Any:
    """Evaluate `what`, in which `track` is the video that a page receives from somebody."""
    return page.page.evaluate(f"(who) => {{ const {{ track }} = {VIDEO_OF}; return {what}; }}", identity)


def speaker(page: Application) -> str | None:
    identity: str | None = page.page.evaluate("app.room.dominantSpeaker?.identity ?? null")
    return identity


def is_switched_off(page: Application, identity: str) -> bool:
    return of_video(page, identity, "track?.isSwitchedOff") is True


def layers_sent(page: Application) -> list[bool]:
    """Return which simulcast layers a page sends of its video, the smallest first."""
    active: list[bool] = page.page.evaluate(
        f"{CONNECTIONS}.flatMap((one) => one._peerConnection.getSenders())"
        ".find((sender) => sender.track?.kind === 'video').getParameters().encodings.slice(0, 2).map((e) => e.active)"
    )
    return active


def is_speaker(page: Application, identity: str) -> bool:
    return speaker(page) == identity


def levels_told(page: Application) -> dict[str, dict[str, Any]]:
    """Return what was told of network quality last, by identity."""
    return {told["identity"]: told for told in page.events("networkQualityLevelChanged")}


def has_level(page: Application, identity: str, levels: range) -> bool:
    return levels_told(page)[identity]["level"] in levels


def test_the_loudest_is_the_dominant_speaker_for_all_others_and_for_who_comes_later(meeting: Meeting) -> None:
    """The SDK names remote participants only: to the speaker itself there is none."""
    wish = {"dominantSpeaker": True}
    anna, bert = (join(meeting, name, wish, **ONLY_LISTENS) for name in ("anna", "bert"))

    anna.call("publish", "tone", "anna's voice")
    wait_for("Anna is heard to speak", lambda: speaker(bert) == "anna")
    assert bert.events("dominantSpeakerChanged") == ["anna"]
    carl = join(meeting, "carl", wish, **ONLY_LISTENS)
    wait_for("Carl learns who speaks", lambda: speaker(carl) == "anna")
    assert speaker(anna) is None
    anna.call("unpublish", "anna's voice")
    bert.call("publish", "tone", "bert's voice")

    for page in (anna, carl):
        wait_for("Bert is heard to speak", partial(is_speaker, page, "bert"))


def test_levels_of_network_quality_come_with_what_they_are_made_of(meeting: Meeting) -> None:
    anna = join(meeting, "anna", {"networkQuality": {"local": 3, "remote": 3}})
    bert = join(meeting, "bert", {"networkQuality": True})

    wait_for("Bert knows a level", lambda: bert.events("networkQualityLevelChanged"))
    wait_for("Anna knows hers and Bert's", lambda: levels_told(anna).keys() == {"anna", "bert"})

    told = levels_told(anna)
    assert bert.events("networkQualityLevelChanged")[0]["identity"] == "bert"
    assert bert.events("networkQualityLevelChanged")[0]["stats"] is None
    for identity in ("anna", "bert"):
        assert 1 <= told[identity]["level"] <= 5
        stats = told[identity]["stats"]
        for kind in ("audio", "video"):
            assert {stats[kind]["send"], stats[kind]["recv"]} <= {1, 2, 3, 4, 5}
            for direction in ("sendStats", "recvStats"):
                assert 0 <= stats[kind][direction]["fractionLost"]["fractionLost"] <= 1
                assert stats[kind][direction]["latency"]["jitter"] >= 0
                assert stats[kind][direction]["bandwidth"]["actual"] >= 0


def test_a_path_that_loses_a_fifth_lowers_the_level_for_all_until_it_is_good_again(meeting: Meeting) -> None:
    with meeting.proxy(Weather()) as proxy:
        anna = join(meeting, "anna", {"networkQuality": {"local": 3}}, service=proxy.url)
        bert = join(meeting, "bert", {"networkQuality": {"remote": 1}}, **ONLY_LISTENS)
        wait_for("both know Anna's level", lambda: "anna" in levels_told(anna) and "anna" in levels_told(bert))
        moves(bert, "anna")

        proxy.weather(Weather(loss=0.2))
        for page in (anna, bert):
            wait_for("Anna's level has fallen", partial(has_level, page, "anna", range(1, 4)))
        stats = levels_told(anna)["anna"]["stats"]
        assert min(stats[kind]["send"] for kind in ("audio", "video")) <= 3, "what she sends is lost on the way"
        proxy.weather(Weather())

        for page in (anna, bert):
            wait_for("Anna's level has risen", partial(has_level, page, "anna", range(4, 6)))
        assert levels_told(bert)["bert"]["level"] >= 4, "his own path was good all the time"


def test_who_asks_for_nothing_gets_no_channels(meeting: Meeting) -> None:
    anna = join(meeting, "anna", **ONLY_LISTENS)
    bert = join(meeting, "bert", {"dominantSpeaker": True}, **ONLY_LISTENS)

    bert.call("publish", "tone", "bert's voice")
    wait_for("Anna hears Bert", lambda: subscribed(anna, "bert") == ["bert's voice"])

    has_channels = f"{CONNECTIONS}.some((one) => one._peerConnection.sctp)"
    assert anna.page.evaluate(has_channels) is False
    assert bert.page.evaluate(has_channels) is True
    assert speaker(anna) is None


def test_a_video_that_nobody_looks_at_is_switched_off_until_somebody_does(meeting: Meeting) -> None:
    by_itself = {"trackSwitchOffMode": "disabled"}  # not for want of bandwidth
    by_hand = {**by_itself, "clientTrackSwitchOffControl": "manual", "contentPreferencesMode": "manual"}
    join(meeting, "anna")
    bert = join(meeting, "bert", {"bandwidthProfile": {"video": by_hand}}, **ONLY_LISTENS)
    carl = join(meeting, "carl", {"bandwidthProfile": {"video": by_itself}}, **ONLY_LISTENS)
    for page in (bert, carl):
        moves(page, "anna")

    of_video(bert, "anna", "track.switchOff()")
    carl.page.evaluate("document.querySelector('video').style.display = 'none'")
    for page in (bert, carl):
        wait_for("the video is off", partial(is_switched_off, page, "anna"))
        assert page.events("trackSwitchedOff") == ["anna"]
    of_video(bert, "anna", "track.switchOn()")
    carl.page.evaluate("document.querySelector('video').style.display = ''")

    for page in (bert, carl):
        moves(page, "anna")
        assert page.events("trackSwitchedOn") == ["anna"]


def test_of_two_videos_with_room_for_one_the_one_of_higher_priority_is_on(meeting: Meeting) -> None:
    pages = {name: join(meeting, name, data=False) for name in ("anna", "carl")}
    bert = join(meeting, "bert", {"bandwidthProfile": {"video": {"maxTracks": 1}}}, **ONLY_LISTENS)
    wait_for("one of them is off", lambda: len([name for name in pages if is_switched_off(bert, name)]) == 1)
    on, off = sorted(pages, key=partial(is_switched_off, bert))

    of_video(bert, off, "track.setPriority('high').priority")
    wait_for("the one that Bert prefers is on", lambda: not is_switched_off(bert, off))
    wait_for("and the other is off", lambda: is_switched_off(bert, on))
    of_video(bert, off, "track.setPriority(null).priority")
    pages[on].page.evaluate("app.room.localParticipant.videoTracks.values().next().value.setPriority('high')")

    wait_for("the one that its publisher prefers is on", lambda: not is_switched_off(bert, on))
    wait_for("and the other is off", lambda: is_switched_off(bert, off))
    assert bert.events("trackPublishPriorityChanged") == ["high"]
    moves(bert, on)


def test_on_another_peer_connection_everything_is_told_anew(
    stack: Stack, browser: Browser, application_address: str
) -> None:
    wish = {"dominantSpeaker": True, "networkQuality": True}
    with meeting_in(stack, browser, application_address) as meeting, meeting.proxy() as proxy:
        anna = join(meeting, "anna", wish, service=proxy.url, **ONLY_LISTENS)
        bert = join(meeting, "bert", **ONLY_LISTENS)
        wait_for("Anna's channels are there", lambda: levels_told(anna).keys() == {"anna"})
        labels = anna.page.evaluate(CHANNELS)
        replace_the_connection(proxy)

        bert.call("publish", "tone", "bert's voice")

        wait_for("another connection is wanted", lambda: proxy.descriptions("down", "create-offer"), within_s=30)
        wait_for("Anna learns who speaks, over another channel", lambda: speaker(anna) == "bert", within_s=30)
        assert set(anna.page.evaluate(CHANNELS)).isdisjoint(labels)
        anna.page.evaluate("app.errors.length = 0")  # the SDK throws in the page where an offer cannot be applied


def test_a_client_with_adaptive_simulcast_sends_only_the_layers_that_are_of_use(meeting: Meeting) -> None:
    by_hand = {"video": {"clientTrackSwitchOffControl": "manual", "contentPreferencesMode": "manual"}}
    anna = join(meeting, "anna", {"preferredVideoCodecs": "auto"}, size=[640, 360, 10], data=False)
    bert = join(meeting, "bert", {"bandwidthProfile": by_hand}, **ONLY_LISTENS)
    moves(bert, "anna")

    of_video(bert, "anna", "track.setContentPreferences({ renderDimensions: { width: 160, height: 90 } })")
    wait_for("the large layer rests", lambda: layers_sent(anna) == [True, False])
    of_video(bert, "anna", "track.setContentPreferences({ renderDimensions: { width: 640, height: 360 } })")

    wait_for("the large layer is sent again", lambda: layers_sent(anna) == [True, True])
    moves(bert, "anna")


def test_after_a_restart_of_the_service_everything_is_told_anew(stack: Stack, meeting: Meeting) -> None:
    anna = join(meeting, "anna", {"dominantSpeaker": True, "networkQuality": True}, **ONLY_LISTENS)
    bert = join(meeting, "bert", **ONLY_LISTENS)
    wait_for("Anna's channels are there", lambda: levels_told(anna).keys() == {"anna"})
    labels = anna.page.evaluate(CHANNELS)

    stack.rooms.kill()
    stack.rooms.start()
    bert.call("publish", "tone", "bert's voice")

    wait_for("Anna learns who speaks", lambda: speaker(anna) == "bert", within_s=40)
    assert set(anna.page.evaluate(CHANNELS)).isdisjoint(labels)
    assert anna.events("room:disconnected") == []
