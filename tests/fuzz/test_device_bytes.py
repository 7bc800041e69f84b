"""Whatever bytes come from the network, from a camera or from a worker: an answer, never an accident."""

import socket

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.devices.cameras.capture_worker import message, read_message, with_level
from appliance.devices.cameras.frame_number import read_frame_number
from appliance.devices.opus import OpusDecoder
from appliance.devices.voice import Voice
from appliance.devices.voices import opus_samples

packets = st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 0xFFFF_FFFF)), max_size=40)


@given(st.binary(max_size=200))
def test_any_payload_has_a_length_of_at_most_120_ms(payload: bytes) -> None:
    assert 0 <= opus_samples(payload) <= 5760


@given(st.lists(st.binary(max_size=120), max_size=10))
@settings(deadline=None)
def test_a_decoder_survives_any_payload_and_decodes_the_next_good_one(payloads: list[bytes]) -> None:
    decoder = OpusDecoder()
    for payload in payloads:
        sound = decoder.decode(payload)
        assert sound is None or sound.ndim == 1
    assert decoder.decode(b"\xf8\xff\xfe") is not None


@given(packets, st.integers(1, 60))
@settings(deadline=None)
def test_a_voice_gives_whole_periods_for_any_packets(arrivals: list[tuple[bytes, int]], turns: int) -> None:
    voice = Voice()
    for payload, timestamp in arrivals:
        voice.ring.put(payload, timestamp)
    for _ in range(turns):
        period = voice.period()
        assert period is None or period.shape == (960,)


@given(st.integers(1, 400), st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_noise_is_never_taken_for_a_number(width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    assert read_frame_number(noise) is None


@given(st.binary(max_size=300))
def test_a_level_is_changed_in_place_or_not_at_all(unit: bytes) -> None:
    changed = with_level(unit, 31)
    assert len(changed) == len(unit)
    assert sum(a != b for a, b in zip(unit, changed, strict=True)) <= 1


@given(
    st.lists(st.tuples(st.sampled_from([b"J", b"U", b"F"]), st.binary(max_size=500)), max_size=8), st.binary(max_size=4)
)
@settings(deadline=None)
def test_worker_messages_arrive_as_sent_and_a_cut_stream_ends(sent: list[tuple[bytes, bytes]], rest: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(message(kind, body) for kind, body in sent) + rest)
        theirs.shutdown(socket.SHUT_WR)
        arrived = []
        while (one := read_message(ours)) is not None:
            arrived.append((one[0], bytes(one[1])))
    assert arrived == sent
