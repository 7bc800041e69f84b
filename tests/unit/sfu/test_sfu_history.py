"""Packets kept for resending."""

from appliance.sfu.history import SIZE, History


def test_a_packet_is_found_until_it_is_overwritten() -> None:
    history = History()
    for index in range(70_000, 70_000 + SIZE + 1):
        history.keep((index, 0, index * 10, b"p"))

    assert history.find(70_000) is None
    assert history.find(70_001) == (70_001, 0, 700_010, b"p")
    assert history.find(70_000 + SIZE + 1) is None


def test_a_sequence_number_means_the_packet_nearest_to_the_newest() -> None:
    history = History()
    newest = 0x20005
    for index in range(newest - 20, newest + 1):
        history.keep((index, 0, 0, index.to_bytes(4, "big")))

    assert history.find_sequence(0xFFFA, newest) == history.find(0x1FFFA)
    assert history.find_sequence(0x0005, newest) == history.find(newest)
    assert history.find_sequence(0x0006, newest) is None
    assert history.find_sequence(0x8000, newest) is None


def test_an_empty_history_finds_nothing() -> None:
    assert History().find_sequence(7, 0) is None
