"""Who speaks: two Chromium pages with tones in place of their microphones."""

import pytest
from playwright.async_api import Page

from appliance.media_engine import LoudestSpeaker, RoomMediaPolicy
from appliance.sfu.engine import EmbeddedEngine
from appliance.sids import new_room_sid
from tests.support.conditions import until
from tests.support.sfu_browser import BrowserClient, chromium, page_of

pytestmark = pytest.mark.browser

TONE = """async () => {
  const context = new AudioContext(), tone = new OscillatorNode(context), out = context.createMediaStreamDestination();
  window.volume = new GainNode(context, { gain: 0 });
  tone.connect(window.volume).connect(out);
  tone.start();
  await pc.getSenders().find(({ track }) => track?.kind === "audio").replaceTrack(out.stream.getAudioTracks()[0]);
}"""


async def set_volume(page: Page, gain: float) -> None:
    await page.evaluate("(gain) => { window.volume.gain.value = gain; }", gain)


def told(client: BrowserClient) -> list[str | None]:
    return [h.participant_sid for h in client.happenings if isinstance(h, LoudestSpeaker)]


async def test_the_page_that_speaks_is_told_to_both_and_to_who_comes_later() -> None:
    engine = await EmbeddedEngine.open(hosts=("127.0.0.1",))
    room = new_room_sid()
    try:
        async with chromium() as browser, page_of(browser) as first, page_of(browser) as second:
            alice, bob, late = (
                BrowserClient(engine, room, name, page)
                for name, page in (("alice", first), ("bob", second), ("late", second))
            )
            for client, page in ((alice, first), (bob, second)):
                await client.join()
                await page.evaluate(TONE)

            await set_volume(first, 0.3)
            await until("both hear of alice", lambda: told(alice)[-1:] == told(bob)[-1:] == [alice.sid])
            await set_volume(first, 0.001)
            await set_volume(second, 0.3)
            await until("both hear of bob", lambda: told(alice)[-1:] == told(bob)[-1:] == [bob.sid])
            engine.join(
                room,
                late.sid,
                RoomMediaPolicy(),
                late.happenings.append,
                tracks=(),
                receive=frozenset(),
                peer_connections=(),
            )
            await until("who comes later hears of bob", lambda: told(late) == [bob.sid])
            await bob.leave()
            await until("nobody speaks", lambda: told(alice)[-1] is None)
            await alice.leave()
            assert not alice.problems
            assert not bob.problems
    finally:
        await engine.close()
