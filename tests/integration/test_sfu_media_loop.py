"""The loop that serves media from inside its wait serves everything else as asyncio does."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from appliance.sfu.media_loop import add_media_reader, new_event_loop, remove_media_reader
from tests.support.conditions import until


def run(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(asyncio.wait_for(story, 20))


class Ears:
    """A socket of loopback and what it heard; `plain` is what it says of each wake-up."""

    def __init__(self, *, plain: bool = True) -> None:
        self.heard: list[bytes] = []
        self.plain = plain
        self.when_heard: asyncio.Event = asyncio.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        add_media_reader(self.socket, self.receive)

    def receive(self, sock: socket.socket) -> bool:
        self.heard.append(sock.recv(100))
        if not self.plain:
            self.when_heard.set()
        return self.plain

    def tell(self, text: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(text, self.socket.getsockname())

    def close(self) -> None:
        remove_media_reader(self.socket)
        self.socket.close()


def test_media_and_timers_are_both_served() -> None:
    async def story() -> None:
        ears = Ears()
        for number in range(3):
            ears.tell(b"%d" % number)
        await until("all is heard", lambda: len(ears.heard) == 3)
        assert ears.heard == [b"0", b"1", b"2"]
        ears.close()

    run(story())


def test_media_without_an_end_does_not_hold_a_timer_up() -> None:
    async def story() -> None:
        ears = Ears()
        address = ears.socket.getsockname()

        def receive_and_send(sock: socket.socket) -> bool:
            ears.heard.append(sock.recv(100))
            sock.sendto(b"again", address)
            return True

        remove_media_reader(ears.socket)
        add_media_reader(ears.socket, receive_and_send)
        ears.tell(b"first")
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert ears.heard[0] == b"first"
        assert len(ears.heard) > 5
        ears.close()

    run(story())


def test_what_a_wake_up_set_off_happens_at_once() -> None:
    async def story() -> None:
        ears = Ears(plain=False)
        asyncio.get_running_loop().call_soon(ears.tell, b"wake")
        # No timer of ours is near: only the wake-up itself can bring us back.
        await ears.when_heard.wait()
        assert ears.heard == [b"wake"]
        ears.close()

    run(story())


def test_other_sockets_are_heard_while_media_flows() -> None:
    async def story() -> None:
        ears = Ears()
        server = await asyncio.start_server(lambda reader, writer: writer.write(b"hello\n"), "127.0.0.1", 0)
        ears.tell(b"media")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        ears.tell(b"more media")
        assert await reader.readline() == b"hello\n"
        writer.close()
        server.close()
        ears.close()

    run(story())


def test_another_thread_can_wake_the_loop() -> None:
    async def story() -> None:
        ears = Ears()
        assert await asyncio.to_thread(lambda: "done") == "done"
        ears.close()

    run(story())


def test_an_error_is_told_and_the_loop_goes_on() -> None:
    async def story() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        ears = Ears()

        def fail(sock: socket.socket) -> bool:
            sock.recv(100)
            raise ValueError("not a packet")

        remove_media_reader(ears.socket)
        add_media_reader(ears.socket, fail)
        ears.tell(b"odd")
        await until("the error is told", lambda: told)
        assert isinstance(told[0]["exception"], ValueError)
        ears.close()

    run(story())


async def test_another_loop_takes_media_sockets_as_readers() -> None:
    ears = Ears()
    ears.tell(b"packet")
    await until("it is heard", lambda: ears.heard)
    assert ears.heard == [b"packet"]
    ears.close()


def test_a_socket_that_was_removed_is_not_served() -> None:
    async def story() -> None:
        ears = Ears()
        remove_media_reader(ears.socket)
        ears.tell(b"too late")
        await asyncio.sleep(0.01)
        assert ears.heard == []
        ears.socket.close()

    run(story())
