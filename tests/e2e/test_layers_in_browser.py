"""Pictures that do not fit a browser or a line: codecs that it lacks, layers that it takes instead of others."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Application
from tests.support.lossy_relay import Weather
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.signaling_proxy import Frame, SignalingProxy
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, module_stack, moves, subscribed

pytestmark = pytest.mark.browser

ONLY_LISTENS: dict[str, Any] = {"media": False, "data": False}
VP8_IN_LAYERS = {"preferredVideoCodecs": [{"codec": "VP8", "simulcast": True}]}
BY_HAND = {"clientTrackSwitchOffControl": "manual", "contentPreferencesMode": "manual"}
SENDER = """[...app.room._signaling._peerConnectionManager._peerConnections.values()]
  .flatMap((one) => one._peerConnection.getSenders()).find((one) => one.track?.kind === 'video')"""
VIDEO = "[...app.room.participants.values()].find((one) => one.identity === who).videoTracks.values().next().value"

WITHOUT_CODECS = """(lacking) => {
  const { createOffer } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.createOffer = async function (...given) {
    await createOffer.apply(this, given);  // makes the sections
    for (const transceiver of this.getTransceivers()) {
      if (transceiver.receiver.track.kind !== 'video') continue;
      const { codecs } = RTCRtpReceiver.getCapabilities('video');
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => !lacking.includes(mimeType)));
    }
    return createOffer.apply(this, given);
  };
}"""
TELL_FAILURES = """() => {
  const { room } = app;
  const tell = (name, error, more) => app.events.push([name, { code: error.code, message: error.message, ...more }]);
  room.on('trackSubscriptionFailed', (error, { kind }, { identity }) =>
    tell('trackSubscriptionFailed', error, { identity, kind }));
  room.localParticipant.on('trackPublicationFailed', (error, { kind }) =>
    tell('trackPublicationFailed', error, { kind }));
}"""
NO_CODEC = {"code": 53404, "message": "No supported codec"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = module_stack(tmp_path_factory.mktemp("stack"), "")
    yield running
    running.close()


# --- codecs and descriptions ------------------------------------------------------------------------------------------


def join_without(meeting: Meeting, identity: str, *lacking: str) -> Application:
    """Join from a browser that has not these codecs, publishing nothing."""
    page = meeting.open()
    page.page.evaluate(WITHOUT_CODECS, [f"video/{name}" for name in lacking])
    page.join(service=meeting.stack.service, **meeting.ticket(identity), **ONLY_LISTENS)
    page.page.evaluate(TELL_FAILURES)
    return page


def test_a_picture_in_a_codec_that_one_browser_lacks_fails_there_with_53404_and_comes_everywhere_else(
    meeting: Meeting,
) -> None:
    RestCaller(meeting.stack)("POST", "/v1/Rooms", {"UniqueName": meeting.room, "VideoCodecs": ["H264", "VP8"]})
    bert = join_without(meeting, "bert", "H264")
    carl = meeting.join("carl", **ONLY_LISTENS)

    meeting.join("anna", data=False)

    moves(carl, "anna")
    assert carl.call("received", "anna")["codec"] == "video/H264"
    wait_for("Bert is told", lambda: bert.events("trackSubscriptionFailed"))
    assert bert.events("trackSubscriptionFailed") == [{**NO_CODEC, "identity": "anna", "kind": "video"}]
    wait_for("Bert has no picture", lambda: bert.page.evaluate(f"(who) => {VIDEO}.isSubscribed", "anna") is False)
    wait_for("Bert hears Anna", lambda: (bert.call("hear", "anna") or {"dbfs": -99})["dbfs"] > -60)
    assert bert.events("room:disconnected") == []


def test_a_picture_that_can_be_sent_in_no_codec_of_the_room_fails_alone_with_53404(meeting: Meeting) -> None:
    anna = join_without(meeting, "anna", "H264", "VP8")
    bert = meeting.join("bert", **ONLY_LISTENS)

    assert anna.call("publish", "card", "picture") == 53404
    assert anna.call("publish", "tone", "voice") is None

    wait_for("Anna is told", lambda: anna.events("trackPublicationFailed"))
    assert anna.events("trackPublicationFailed") == [{**NO_CODEC, "kind": "video"}]
    wait_for("Bert hears Anna, and sees nothing", lambda: subscribed(bert, "anna") == ["voice"])


def spoil_offers(proxy: SignalingProxy) -> None:
    """Take from the client's offers to come what nobody can do without."""

    def meddle(way: str, frame: Frame) -> Frame | None:
        for entry in (frame.get("body") or {}).get("peer_connections") or () if way == "up" else ():
            description = entry.get("description") or {}
            if description.get("type") == "offer":
                description["sdp"] = description["sdp"].replace("a=fingerprint:", "a=thumbprint:")
        return frame

    proxy.meddle = meddle


def test_an_offer_that_cannot_be_applied_fails_the_join_with_53403_and_later_ends_the_stay_with_it(
    meeting: Meeting,
) -> None:
    bert = meeting.join("bert", **ONLY_LISTENS)
    with meeting.proxy() as proxy:
        anna = meeting.join("anna", proxy.url, **ONLY_LISTENS)
        spoil_offers(proxy)

        assert meeting.refused("carl", wsServer=proxy.url.replace("http", "ws", 1) + "/signaling") == 53403
        anna.page.evaluate("() => { app.publish('tone', 'voice'); }")
        wait_for("Anna is out", lambda: anna.events("room:disconnected"))

    assert anna.events("room:disconnected") == [{"code": 53403}]
    wait_for("Bert is alone", lambda: bert.call("people") == [])
    assert bert.events("room:disconnected") == []


# --- layers -----------------------------------------------------------------------------------------------------------


def watches(meeting: Meeting, identity: str, service: str | None = None) -> Application:
    """Join and receive the video of Anna, sizes being told by `shown_at` alone."""
    page = meeting.join(identity, service, options={"bandwidthProfile": {"video": BY_HAND}}, **ONLY_LISTENS)
    moves(page, "anna")
    page.page.evaluate(
        f"(who) => {VIDEO}.track.on('dimensionsChanged', ({{ dimensions: {{ width, height }} }}) => "
        "app.events.push(['dimensionsChanged', [width, height]]))",
        "anna",
    )
    return page


def shown_at(page: Application, width: int, height: int) -> None:
    page.page.evaluate(
        f"([who, renderDimensions]) => {VIDEO}.track.setContentPreferences({{ renderDimensions }})",
        ["anna", {"width": width, "height": height}],
    )


def received(page: Application) -> dict[str, Any]:
    return page.call("received", "anna") or {}


def comes_at(page: Application, *size: int) -> None:
    def at_size() -> bool:
        figures = received(page)
        return (figures.get("frameWidth"), figures.get("frameHeight")) == size

    wait_for(f"the picture comes at {size}", at_size)
    moves(page, "anna")


def test_layers_in_plain_simulcast_change_with_the_size_and_the_line_without_a_break(
    meeting: Meeting, record_property: Any
) -> None:
    """Chromium sends all of them in full size unless told otherwise; in Safari the SDK does what is done here."""
    anna = meeting.join("anna", size=[1280, 720, 10], data=False, options=VP8_IN_LAYERS)
    anna.page.evaluate(
        f"""async () => {{
          const sender = {SENDER};
          const parameters = sender.getParameters();
          parameters.encodings.forEach((encoding, place) => {{ encoding.scaleResolutionDownBy = 4 / 2 ** place; }});
          await sender.setParameters(parameters);
        }}"""
    )
    with meeting.proxy(Weather()) as line:
        carl = watches(meeting, "carl")
        shown_at(carl, 320, 180)
        comes_at(carl, 320, 180)
        bert = watches(meeting, "bert", line.url)
        comes_at(bert, 1280, 720)
        before = [received(page) for page in (bert, carl)]
        bert.page.evaluate("app.events.length = 0")

        shown_at(bert, 320, 180)
        comes_at(bert, 320, 180)
        shown_at(bert, 1280, 720)
        comes_at(bert, 1280, 720)
        after = [received(page) for page in (bert, carl)]
        line.weather(Weather(down_bps=250_000))
        comes_at(bert, 320, 180)
        narrowed = received(bert)
    changes, steady = (late["freezeCount"] - early["freezeCount"] for early, late in zip(before, after, strict=True))
    record_property("freezes", (changes, steady))
    assert changes <= steady + 1, "of two changes, while the line has room; a busy machine has a freeze of its own"
    sizes = bert.events("dimensionsChanged")
    assert [size for size in sizes if size != [640, 360]] == [[320, 180], [1280, 720], [320, 180]]
    assert narrowed["pliCount"] == before[0]["pliCount"], "the service asks for what begins a layer, not the client"
