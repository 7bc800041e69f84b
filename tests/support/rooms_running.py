"""The rooms service in this process, on loopback, with a media engine that moves nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from appliance.clock import Clock
from appliance.media_engine import Description, DescriptionType, PeerConnectionState, TrackKind
from appliance.rooms.conversation import Changed, Failed, Joined, JoinRequest, ParticipantState, ToClient
from appliance.rooms.credentials import Credentials, load_or_make
from appliance.rooms.guests import GuestPage, GuestSettings
from appliance.rooms.publishing import TrackWish
from appliance.rooms.rest import RestApi, RestSettings
from appliance.rooms.server import Door, HttpServer, build_app, open_door
from appliance.rooms.service import Attachment, RoomsService, ServiceSettings
from appliance.rooms.sockets import SignalingSockets
from appliance.rooms.store.store import Store
from appliance.system_clock import SystemClock
from appliance.tokens import mint
from tests.support.fake_media_engine import FakeMediaEngine

_numbers = count(1)


def database_of(folder: Path) -> str:
    """Return the address of the store of a service; tests on another database put their own in place."""
    return f"sqlite+aiosqlite:///{folder / 'rooms.sqlite3'}"


def offer(revision: int = 1, key: str = "pc") -> PeerConnectionState:
    return PeerConnectionState(
        id=key, description=Description(type=DescriptionType.OFFER, revision=revision, sdp="v=0")
    )


def microphone(name: str = "mic", *, enabled: bool = True) -> TrackWish:
    return TrackWish(id=f"id-{name}", kind=TrackKind.AUDIO, name=name, enabled=enabled)


@dataclass
class Client:
    """A participant as the service sees one: what it was told, oldest first, and its hold on the service."""

    service: RoomsService
    token: str
    told: list[ToClient] = field(default_factory=list)
    attachment: Attachment | None = None

    async def join(self, room: str | None = None, *tracks: TrackWish, **more: Any) -> Joined:
        request = JoinRequest(token=self.token, room=room, tracks=tracks, peer_connections=(offer(),), **more)
        self.attachment = await self.service.admit(request, self.told.append)
        return self.joined

    @property
    def joined(self) -> Joined:
        return next(message for message in self.told if isinstance(message, Joined))

    @property
    def here(self) -> Attachment:
        assert self.attachment
        return self.attachment

    @property
    def seen(self) -> list[ParticipantState]:
        """Every state of others that came by an update, oldest first."""
        return [state for message in self.told if isinstance(message, Changed) for state in message.participants]

    @property
    def failures(self) -> list[int]:
        return [message.code for message in self.told if isinstance(message, Failed)]


@dataclass
class RunningRooms:
    """Everything behind one address."""

    url: str
    door: Door
    service: RoomsService
    engine: FakeMediaEngine
    store: Store
    credentials: Credentials
    clock: Clock

    def token(self, identity: str, room: str | None = None, **more: Any) -> str:
        key = self.credentials.signing_key
        return mint(key, identity, now=self.clock.now().timestamp(), room=room, **more)

    def client(self, identity: str, room: str | None = None) -> Client:
        return Client(self.service, self.token(identity, room))


@asynccontextmanager
async def running_rooms(
    folder: Path,
    settings: ServiceSettings | None = None,
    clock: Clock | None = None,
    rest: RestSettings | None = None,
    guest_folder: Path | None = None,
) -> AsyncIterator[RunningRooms]:
    """Run the service with its state in `folder`; entering again with the same folder is a restart."""
    clock = clock or SystemClock()
    credentials, _ = load_or_make(folder)
    async with AsyncExitStack() as parts:
        store = await parts.enter_async_context(Store(database_of(folder)))
        engine = FakeMediaEngine()
        service = RoomsService(settings or ServiceSettings(), credentials, engine, store, clock)
        await service.recover()
        door = open_door("http", "127.0.0.1:0")
        parts.callback(door.socket.close)
        guests = GuestPage(
            service, GuestSettings(folder=guest_folder, https_port=8443, link_hosts=["192.168.1.7"]), clock
        )
        sockets = SignalingSockets(service, clock)
        app = build_app(service, RestApi(service, rest or RestSettings(), clock), guests, sockets.handle)
        await parts.enter_async_context(HttpServer(app, [door]))
        parts.push_async_callback(service.close)
        yield RunningRooms(
            url=door.url,
            door=door,
            service=service,
            engine=engine,
            store=store,
            credentials=credentials,
            clock=clock,
        )
