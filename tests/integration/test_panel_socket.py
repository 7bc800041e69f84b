"""The panel's client of the control socket against a kiosk that answers, refuses, hangs, dies and returns."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import CommandRefused
from appliance.panel.kiosk import KioskSilent, Snapshot
from appliance.panel.kiosk_socket import KioskSocket
from tests.support import kiosk_documents
from tests.support.fake_kiosk import PNG, FakeKiosk


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[FakeKiosk]:
    with FakeKiosk(tmp_path / "control.sock") as running:
        yield running


@pytest.fixture
def client(kiosk: FakeKiosk) -> Iterator[KioskSocket]:
    client = KioskSocket(kiosk.path, answer_within_s=1.0)
    client.start()
    yield client
    client.close()


def until(client: KioskSocket, holds: Callable[[Snapshot], bool], tries: int = 100) -> Snapshot:
    """Wait for a snapshot of which something holds; fail with the last one seen."""
    snapshot = client.snapshot()
    for _ in range(tries):
        if holds(snapshot):
            return snapshot
        snapshot = client.wait_for_change(snapshot.version, 0.2)
    raise AssertionError(f"never happened; last seen: {snapshot}")


def test_the_state_arrives_and_every_change_after_it(kiosk: FakeKiosk, client: KioskSocket) -> None:
    assert until(client, lambda seen: seen.answering).state == kiosk_documents.idle()

    kiosk.become(kiosk_documents.in_room())

    assert until(client, lambda seen: seen.rev == 7).state == kiosk_documents.in_room()


def test_a_command_names_the_page_as_its_origin_and_never_someone_in_the_room(
    kiosk: FakeKiosk, client: KioskSocket
) -> None:
    until(client, lambda seen: seen.answering)  # outcomes are told to whoever watches by then

    assert client.command("room.join", {"room": "Harbour"}) == {"command_id": "c1"}

    ((name, arguments, actor),) = kiosk.commands
    assert (name, arguments) == ("room.join", {"room": "Harbour"})
    assert actor == {"origin": "page", "role": "operator", "account": None}
    assert until(client, lambda seen: bool(seen.outcomes)).outcomes[0].document["ok"] is True


def test_a_refusal_comes_back_with_its_code(kiosk: FakeKiosk, client: KioskSocket) -> None:
    with pytest.raises(CommandRefused) as caught:
        client.command("mic.unmute", {})

    assert caught.value.code == "policy_denied"


def test_the_picture_of_the_screen_comes_whole(client: KioskSocket) -> None:
    assert client.picture() == PNG


def test_a_kiosk_that_dies_is_noticed_and_found_again(kiosk: FakeKiosk, client: KioskSocket) -> None:
    until(client, lambda seen: seen.answering)

    kiosk.stop()
    lost = until(client, lambda seen: not seen.answering)
    assert lost.state == kiosk_documents.idle()  # what was last known
    with pytest.raises(KioskSilent):
        client.command("room.join", {})

    kiosk.state = kiosk_documents.idle(name="After the restart")
    kiosk.start()
    found = until(client, lambda seen: seen.answering)
    assert found.state is not None
    assert found.state["name"] == "After the restart"


def test_a_kiosk_that_hangs_counts_as_silent(kiosk: FakeKiosk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.panel.kiosk_socket.PING_AFTER_S", 0.2)
    client = KioskSocket(kiosk.path, answer_within_s=0.3)
    client.start()
    try:
        until(client, lambda seen: seen.answering)

        kiosk.mute = True

        until(client, lambda seen: not seen.answering)
        with pytest.raises(KioskSilent):
            client.command("room.join", {})
    finally:
        client.close()


def test_a_quiet_kiosk_that_answers_when_asked_does_not_count_as_silent(
    kiosk: FakeKiosk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.panel.kiosk_socket.PING_AFTER_S", 0.05)
    client = KioskSocket(kiosk.path, answer_within_s=1.0)
    client.start()
    try:
        first = until(client, lambda seen: seen.answering)
        later = client.wait_for_change(first.version, 0.5)

        assert later.version == first.version  # several pings were answered, nothing changed
    finally:
        client.close()


@pytest.mark.parametrize(
    "said", [b"not json\n", b"[1]\n", b'{"id":"1","ok":false}\n', b'{"id":"other","ok":true}\n', b""]
)
def test_what_no_kiosk_would_say_is_a_silent_kiosk(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(KioskSilent):
            KioskSocket(path, answer_within_s=2.0).get("participants")
        thread.join(5)


def test_without_a_kiosk_there_is_nothing_to_close_twice(tmp_path: Path) -> None:
    client = KioskSocket(tmp_path / "nobody.sock")
    client.start()
    client.close()
    client.close()

    assert not client.snapshot().answering
