"""Real Chromium pages as clients of the media engine: a bare RTCPeerConnection in each, wired straight to the seam."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from appliance.media_engine import (
    Description,
    DescriptionType,
    Happening,
    Negotiate,
    PeerConnectionState,
    PublishedTrack,
    ReceivingWishes,
    RoomMediaPolicy,
    Subscription,
    TrackKind,
)
from appliance.sfu.engine import EmbeddedEngine
from appliance.sfu.peer import Peer
from appliance.sids import RoomSid, TrackSid, new_participant_sid, new_track_sid
from tests.support.browser import FLAGS
from tests.support.programs_found import chromium as chromium_found

_PAGE = Path(__file__).with_name("sfu_page.html")
_ADDRESS = "http://localhost/"  # never asked for: the page is put in its place, and counts as secure


class BrowserClient:
    """One page that takes part in a room; its wire is the queue of happenings, answered in order."""

    def __init__(self, engine: EmbeddedEngine, room: RoomSid, name: str, page: Page) -> None:
        self.engine, self.room, self.name, self.page = engine, room, name, page
        self.sid = new_participant_sid()
        self.peer: Peer | None = None
        self.tracks: dict[str, PublishedTrack] = {}
        self.subscriptions: dict[TrackSid, Subscription] = {}
        self.descriptions: list[Description] = []
        self.happenings: list[Happening] = []
        self.answered = 0
        self.problems: list[str] = []
        self.rewrite: Callable[[str], str] = lambda sdp: sdp  # a relay can stand in the way
        self._inbox: asyncio.Queue[Happening] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def join(
        self,
        receive: frozenset[TrackSid] = frozenset(),
        *,
        wishes: ReceivingWishes | None = None,
        layer_hints: bool = False,
        **options: object,
    ) -> None:
        """Join; `options` are those of the page's `join`, `simulcast` "scaled" gives each layer a size of its own."""
        offer = await self.page.evaluate("([id, options]) => join(id, options)", [self.name, options])
        for kind, client_id in offer["ids"].items():
            self.tracks[kind] = PublishedTrack(sid=new_track_sid(), client_id=client_id, kind=TrackKind(kind))
        self.peer = self.engine.join(
            self.room,
            self.sid,
            RoomMediaPolicy(),
            self._listen,
            tracks=tuple(self.tracks.values()),
            receive=receive,
            peer_connections=(self._state(offer),),
            wishes=wishes or ReceivingWishes(),
            layer_hints=layer_hints,
        )
        self._task = asyncio.create_task(self._run(), name=f"page {self.name}")

    async def publish_again(self) -> TrackSid:
        """Publish a second video track: a new offer of the client's."""
        offer = await self.page.evaluate("publishAgain()")
        track = PublishedTrack(sid=new_track_sid(), client_id=offer["id"], kind=TrackKind.VIDEO)
        self.tracks["video-2"] = track
        assert self.peer is not None
        self.peer.publish(tuple(self.tracks.values()))
        self.peer.describe((self._state(offer),))
        return track.sid

    async def restart_ice(self) -> None:
        assert self.peer is not None
        self.peer.describe((self._state(await self.page.evaluate("restartIce()")),))

    def _state(self, said: dict[str, Any]) -> PeerConnectionState:
        description = Description(type=DescriptionType(said["type"]), revision=said["revision"], sdp=said["sdp"])
        return PeerConnectionState(id=self.name, description=description)

    def _listen(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._inbox.put_nowait(happening)

    async def _run(self) -> None:
        while True:
            happening = await self._inbox.get()
            if not isinstance(happening, Negotiate):
                continue
            if happening.subscriptions is not None:
                self.subscriptions = {entry.track_sid: entry for entry in happening.subscriptions}
            for state in happening.peer_connections:
                assert state.description is not None
                self.descriptions.append(state.description)
                sent = {
                    "type": state.description.type,
                    "revision": state.description.revision,
                    "sdp": self.rewrite(state.description.sdp or ""),
                }
                answer = await self.page.evaluate("(description) => take(description)", sent)
                if answer is not None and self.peer is not None:
                    self.peer.describe((self._state(answer),))
                self.answered += 1

    def mid_for(self, sid: TrackSid) -> str | None:
        """Return the section whose msid names the subscription to this track."""
        entry = self.subscriptions.get(sid)
        for section in (self.descriptions[-1].sdp or "").split("\r\nm=")[1:] if self.descriptions else ():
            lines = section.split("\r\n")
            if entry is not None and any(line.startswith("a=msid:") and line.split()[1] == entry.id for line in lines):
                return next(line[6:] for line in lines if line.startswith("a=mid:"))
        return None

    async def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate("figures()")
        return found

    async def inbound(self, sid: TrackSid) -> dict[str, Any]:
        """Return Chromium's own statistics of a subscription, empty before the first packet."""
        found = (await self.figures())["inbound"].get(self.mid_for(sid), {})
        assert isinstance(found, dict)
        return found

    async def send(self, message: str) -> None:
        await self.page.evaluate(
            "([label, text]) => channels.get(label).send(text)", [self.tracks["data"].client_id, message]
        )

    def is_stable(self) -> bool:
        """Tell whether the page has answered everything, and the engine knows it."""
        return self._inbox.empty() and self.answered == len(self.descriptions)

    async def messages(self, sid: TrackSid) -> list[Any]:
        entry = self.subscriptions.get(sid)
        found = await self.page.evaluate("(label) => messages[label] || []", entry.id if entry else "")
        assert isinstance(found, list)
        return found

    async def leave(self) -> None:
        if self.peer is not None:
            await self.peer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start Chromium without a window, with a camera and a microphone of its own making."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_found(), args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page_of(browser: Browser) -> AsyncIterator[Page]:
    """Open the test page in a context of its own."""
    context = await browser.new_context(permissions=["camera", "microphone"])
    try:
        page = await context.new_page()
        body = await asyncio.to_thread(_PAGE.read_text)
        await page.route("**/*", lambda route: route.fulfill(body=body, content_type="text/html"))
        await page.goto(_ADDRESS)
        yield page
    finally:
        await context.close()
