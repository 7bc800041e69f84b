"""Simulcast, bandwidth and codecs as applications of the unmodified SDK in a browser see them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Application
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, module_stack, moves

pytestmark = pytest.mark.browser

SENDS = [480, 270, 15]  # the smallest camera that gives two sizes in adaptive mode: 240x135 and 480x270
VP8_IN_LAYERS = {"preferredVideoCodecs": [{"codec": "VP8", "simulcast": True}]}
ADAPTIVE = {"preferredVideoCodecs": "auto"}
BY_HAND = {"clientTrackSwitchOffControl": "manual", "contentPreferencesMode": "manual"}
ONLY_LISTENS: dict[str, Any] = {"media": False, "data": False}
VIDEO = "[...app.room.participants.values()].find((one) => one.identity === who).videoTracks.values().next().value"
CONNECTIONS = "[...app.room._signaling._peerConnectionManager._peerConnections.values()]"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


def wishes(**video: Any) -> dict[str, Any]:
    return {"options": {"bandwidthProfile": {"video": {**BY_HAND, **video}}}, **ONLY_LISTENS}


def track(page: Application, identity: str, what: str) -> Any:
    return page.page.evaluate(f"(who) => {{ const {{ track }} = {VIDEO}; return {what}; }}", identity)


def shown_at(page: Application, identity: str, width: int, height: int) -> None:
    track(
        page, identity, f"track.setContentPreferences({{ renderDimensions: {{ width: {width}, height: {height} }} }})"
    )


def height(page: Application, identity: str) -> int:
    return int((page.call("received", identity) or {}).get("frameHeight") or 0)


def comes_at(page: Application, identity: str, *heights: int, within_s: float = 20.0) -> None:
    wait_for(f"{identity} comes at {heights}", lambda: height(page, identity) in heights, within_s=within_s)
    moves(page, identity)


def layers_sent(page: Application) -> list[bool]:
    """Return which of the video's encodings the browser has turned on."""
    sent: list[bool] = page.page.evaluate(
        f"{CONNECTIONS}.flatMap((one) => one._peerConnection.getSenders()).find((one) => one.track?.kind === 'video')"
        ".getParameters().encodings.map(({ active }) => active)"
    )
    return sent


def concealed(page: Application) -> dict[str, int]:
    """Return of all sound that came here how many samples there were and how many were made up."""
    figures: dict[str, int] = page.page.evaluate(
        f"""async () => {{
          const sum = {{ made_up: 0, all: 0 }};
          for (const one of {CONNECTIONS}) {{
            for (const entry of (await one._peerConnection.getStats()).values()) {{
              if (entry.type !== 'inbound-rtp' || entry.kind !== 'audio') continue;
              sum.made_up += entry.concealedSamples - (entry.silentConcealedSamples ?? 0);
              sum.all += entry.totalSamplesReceived;
            }}
          }}
          return sum;
        }}"""
    )
    return figures


def test_in_adaptive_mode_the_layer_follows_the_size_that_is_shown(meeting: Meeting) -> None:
    anna = meeting.join("anna", size=SENDS, options=ADAPTIVE)
    bert = meeting.join("bert", **wishes())

    comes_at(bert, "anna", 270)
    shown_at(bert, "anna", 240, 135)
    comes_at(bert, "anna", 135)
    wait_for("what nobody looks at is not sent", lambda: layers_sent(anna) == [True, False, False])
    shown_at(bert, "anna", 480, 270)
    wait_for("what is wanted is sent again", lambda: layers_sent(anna) == [True, True, False])
    comes_at(bert, "anna", 270)


@pytest.mark.measuring
def test_a_narrow_line_makes_the_picture_small_then_takes_it_away_and_a_wide_one_brings_it_back(
    meeting: Meeting,
) -> None:
    meeting.join("anna", size=SENDS, options=ADAPTIVE)
    with meeting.proxy(Weather()) as line:
        bert = meeting.join("bert", service=line.url, **wishes(trackSwitchOffMode="predicted"))
        comes_at(bert, "anna", 270)

        line.weather(Weather(down_bps=150_000))
        comes_at(bert, "anna", 135)
        before = concealed(bert)
        moves(bert, "anna")
        after = concealed(bert)
        line.weather(Weather(down_bps=40_000))
        wait_for("the picture is switched off", lambda: track(bert, "anna", "track.isSwitchedOff"))
        line.weather(Weather())
        wait_for("the picture is switched on", lambda: not track(bert, "anna", "track.isSwitchedOff"), within_s=40)
        moves(bert, "anna", within_s=40)

    made_up = (after["made_up"] - before["made_up"]) / (after["all"] - before["all"])
    assert made_up < 0.1, "beside the small picture the sound is whole"


def test_simulcast_without_scaling_is_received_and_only_one_layer_of_it(meeting: Meeting) -> None:
    meeting.join("anna", size=SENDS, options=VP8_IN_LAYERS)
    bert = meeting.join("bert", **wishes())
    comes_at(bert, "anna", 270)

    track(bert, "anna", "track.switchOff()")
    wait_for("the picture is switched off", lambda: track(bert, "anna", "track.isSwitchedOff"))
    track(bert, "anna", "track.switchOn()")

    wait_for("the picture is switched on", lambda: not track(bert, "anna", "track.isSwitchedOff"))
    moves(bert, "anna")


def test_what_may_come_in_all_keeps_the_picture_small(meeting: Meeting) -> None:
    meeting.join("anna", size=SENDS, options=ADAPTIVE)
    bert = meeting.join("bert", **wishes(maxSubscriptionBitrate=90_000))
    carl = meeting.join("carl", **wishes())

    comes_at(carl, "anna", 270)
    comes_at(bert, "anna", 135)


@pytest.mark.parametrize(("codecs", "options"), [(["H264"], ADAPTIVE), (["H264", "VP8"], {})])
def test_a_room_that_prefers_h264_gets_it_and_no_simulcast(
    meeting: Meeting, codecs: list[str], options: dict[str, Any]
) -> None:
    """In the first room the SDK takes back the simulcast that it offered."""
    RestCaller(meeting.stack)("POST", "/v1/Rooms", {"UniqueName": meeting.room, "VideoCodecs": codecs})
    anna = meeting.join("anna", size=SENDS, options=options)
    bert = meeting.join("bert", **wishes())

    moves(bert, "anna")

    assert bert.call("received", "anna")["codec"] == "video/H264"
    assert height(bert, "anna") == 270
    assert layers_sent(anna).count(True) == 1
