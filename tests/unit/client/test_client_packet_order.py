"""RTP packets into order and frames."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.client.packet_order import (
    ASK_AGAIN_S,
    GIVE_UP_S,
    MOST_ASKED,
    VOICE_WAIT_PACKETS,
    FrameOrder,
    VideoPacket,
    VoiceOrder,
)


class Voice:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.order = VoiceOrder(lambda payload, timestamp: self.heard.append(payload))

    def add(self, *sequences: int) -> None:
        for sequence in sequences:
            self.order.add(sequence & 0xFFFF, sequence * 960, b"%d" % sequence)


def payloads(*sequences: int) -> list[bytes]:
    return [b"%d" % sequence for sequence in sequences]


def test_a_voice_packet_passes_at_once() -> None:
    voice = Voice()

    voice.add(7)

    assert voice.heard == payloads(7)


def test_swapped_voice_packets_are_put_in_order() -> None:
    voice = Voice()

    voice.add(1, 3, 2, 4)

    assert voice.heard == payloads(1, 2, 3, 4)


def test_a_lost_voice_packet_is_waited_for_three_packets_long() -> None:
    voice = Voice()

    voice.add(1, 3, 4, 5)
    before = list(voice.heard)
    voice.add(6)

    assert VOICE_WAIT_PACKETS == 3
    assert before == payloads(1)
    assert voice.heard == payloads(1, 3, 4, 5, 6)


def test_a_voice_packet_that_comes_too_late_or_twice_is_dropped() -> None:
    voice = Voice()

    voice.add(1, 3, 4, 5, 6, 2, 6)

    assert voice.heard == payloads(1, 3, 4, 5, 6)


def test_voice_goes_on_where_sequence_numbers_wrap() -> None:
    voice = Voice()

    voice.add(65534, 65536, 65535, 65537)

    assert voice.heard == payloads(65534, 65535, 65536, 65537)


def test_voice_that_begins_anew_far_back_is_taken_as_a_new_stream() -> None:
    voice = Voice()

    voice.add(5000, 5001, 10, 11)

    assert voice.heard == payloads(5000, 5001, 10, 11)


def test_empty_voice_packets_are_padding() -> None:
    voice = Voice()

    voice.order.add(1, 0, b"")
    voice.order.add(2, 960, b"2")

    assert voice.heard == [b"2"]


@given(st.permutations(range(100, 130)))
def test_whatever_the_order_no_voice_packet_is_heard_twice_or_backwards(sequence: list[int]) -> None:
    voice = Voice()

    voice.add(99, *sequence)

    numbers = [int(payload) for payload in voice.heard]
    assert numbers == sorted(set(numbers))


class Video:
    def __init__(self) -> None:
        self.frames: list[tuple[bytes, int, bool]] = []
        self.order = FrameOrder(lambda data, timestamp, gap: self.frames.append((data, timestamp, gap)))

    def add(self, sequence: int, timestamp: int, data: bytes, *, end: bool = False, now: float = 0.0) -> None:
        self.order.add(VideoPacket(sequence & 0xFFFF, timestamp, end, data), now)


def test_a_frame_leaves_with_its_last_packet() -> None:
    video = Video()

    video.add(1, 90, b"a")
    before = list(video.frames)
    video.add(2, 90, b"b", end=True)

    assert before == []
    assert video.frames == [(b"ab", 90, False)]


def test_packets_of_a_frame_may_come_in_any_order() -> None:
    video = Video()
    video.add(1, 90, b"a", end=True)

    video.add(4, 180, b"d", end=True)
    video.add(3, 180, b"c")
    video.add(2, 180, b"b")

    assert [data for data, _, _ in video.frames] == [b"a", b"bcd"]


def test_without_a_marker_the_next_timestamp_ends_a_frame() -> None:
    video = Video()

    video.add(1, 90, b"a")
    video.add(2, 180, b"b", end=True)

    assert [data for data, _, _ in video.frames] == [b"a", b"b"]


def test_empty_packets_between_frames_are_padding() -> None:
    video = Video()

    video.add(1, 90, b"a", end=True)
    video.add(2, 90, b"")
    video.add(3, 180, b"b", end=True)

    assert [data for data, _, _ in video.frames] == [b"a", b"b"]


def test_a_lost_packet_is_asked_for_again_and_again() -> None:
    video = Video()
    video.add(1, 90, b"a", end=True, now=0.0)

    video.add(3, 180, b"c", end=True, now=1.0)

    assert video.order.missing(1.0) == []  # aiortc itself has just asked
    assert video.order.missing(1.0 + ASK_AGAIN_S) == [2]
    assert video.order.missing(1.0 + ASK_AGAIN_S) == []
    assert video.order.missing(1.0 + 3 * ASK_AGAIN_S) == [2]
    video.add(2, 180, b"b", now=1.2)
    assert video.order.missing(2.0) == []
    assert [data for data, _, _ in video.frames] == [b"a", b"bc"]


def test_a_gap_is_left_behind_after_a_while_and_the_next_frame_tells_of_it() -> None:
    video = Video()
    video.add(1, 90, b"a", end=True, now=0.0)
    video.add(3, 180, b"c", end=True, now=1.0)
    video.add(4, 270, b"d", end=True, now=1.1)

    video.add(5, 360, b"e", end=True, now=1.1 + GIVE_UP_S)
    video.add(6, 450, b"f", end=True, now=1.2 + GIVE_UP_S)

    assert video.frames == [(b"a", 90, False), (b"e", 360, True), (b"f", 450, False)]


def test_of_many_missing_packets_no_more_are_asked_for_than_a_datagram_holds() -> None:
    video = Video()
    video.add(1, 90, b"a", end=True)

    video.add(1000, 180, b"z", end=True, now=1.0)

    assert video.order.missing(1.0 + 2 * ASK_AGAIN_S) == list(range(2, 2 + MOST_ASKED))


def test_numbers_that_jump_further_than_anything_is_kept_are_left_behind_at_once() -> None:
    video = Video()
    video.add(1, 90, b"a", end=True)

    video.add(20_000, 180, b"z", end=True, now=0.1)
    video.add(20_001, 270, b"y", end=True, now=0.2)
    video.add(20_002, 360, b"x", end=True, now=0.2)

    assert video.order.missing(10.0) == []
    assert [data for data, _, _ in video.frames] == [b"a", b"y", b"x"]


@given(st.permutations(range(40)), st.sets(st.integers(1, 39), max_size=6))
def test_whatever_is_lost_or_swapped_frames_are_whole_and_in_order(order: list[int], lost: set[int]) -> None:
    video = Video()
    video.add(-1, 0, b"first", end=True)

    for step, index in enumerate(order):
        if index not in lost:
            frame, part = divmod(index, 4)
            video.add(index, 90 * (frame + 1), b"%d.%d " % (frame, part), end=part == 3, now=step * 0.05)

    numbers = []
    for data, _, _ in video.frames[1:]:
        frame = int(data.split(b".")[0])
        numbers.append(frame)
        assert data == b"".join(b"%d.%d " % (frame, part) for part in range(4))
    assert numbers == sorted(set(numbers))
