"""Who is let in under load, who waits, and in which order."""

from typing import Any

from appliance.rooms.gate import ARRIVAL_LIMIT_S, MOST_RETRY_S, Gate, GateLimits
from appliance.signaling.frames import Busy


def gate(**limits: Any) -> Gate:
    return Gate(GateLimits(**limits), b"secret")


def busy(answer: Busy | None) -> Busy:
    assert answer is not None
    return answer


def late(gate: Gate, late_s: float, samples: int = 40) -> None:
    for _ in range(samples):
        gate.note_lateness(late_s)


def test_with_room_everybody_is_let_in() -> None:
    open_gate = gate(admissions=0)

    assert all(open_gate.ask(who, 0.0, 10_000) is None for who in range(100))


def test_who_comes_when_all_places_are_taken_waits_on_its_socket() -> None:
    narrow = gate(admissions=1)
    assert narrow.ask("first", 0.0, 0) is None

    answer = busy(narrow.ask("second", 0.0, 0))

    assert answer.keep_alive
    assert answer.retry_after_ms == 1000
    assert answer.cookie


def test_when_one_is_in_the_one_who_waited_longest_is_next() -> None:
    narrow = gate(admissions=1)
    for number, who in enumerate(("first", "second", "third")):
        narrow.ask(who, float(number), 0)
    assert narrow.next_in(3.0, 0) is None

    narrow.left("first")

    assert narrow.next_in(3.0, 1) == "second"
    assert narrow.next_in(3.0, 1) is None, "it holds the place"
    narrow.left("second")
    assert narrow.next_in(3.0, 2) == "third"


def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    narrow = gate(admissions=1)
    narrow.ask("first", 0.0, 0)
    narrow.ask("second", 1.0, 0)
    narrow.left("first")

    busy(narrow.ask("newcomer", 2.0, 0))
    assert narrow.ask("second", 2.0, 0) is None


def test_who_comes_back_with_its_cookie_keeps_its_turn_and_a_made_up_one_is_worth_nothing() -> None:
    narrow = gate(admissions=1, waiting=0)
    narrow.ask("first", 0.0, 0)
    narrow.joining("first")
    answer = busy(narrow.ask("socket 1", 1.0, 0))
    assert not answer.keep_alive
    for forged in ("0.000.00", "0.000", "é.é", "nan.", "1.000." + "0" * 24):
        assert busy(narrow.ask("socket 2", 50.0, 0, forged)).retry_after_ms > 0

    late_answer = busy(narrow.ask("socket 3", 200.0, 0, answer.cookie))

    assert late_answer.retry_after_ms < 0, "it has waited since it first came, not since this socket"


def test_who_has_waited_too_long_is_refused_for_good() -> None:
    narrow = gate(admissions=1, patience_s=10.0)
    narrow.ask("first", 0.0, 0)
    narrow.joining("first")
    narrow.ask("second", 0.0, 0)

    assert busy(narrow.ask("second", 9.0, 0)).retry_after_ms > 0
    assert busy(narrow.ask("second", 11.0, 0)).retry_after_ms == -1
    assert narrow.figures().waiting == 0


def test_a_place_is_held_for_a_while_for_who_does_not_ask_to_join_and_as_long_as_needed_for_who_does() -> None:
    narrow = gate(admissions=2)
    narrow.ask("idle", 0.0, 0)
    narrow.ask("busy", 0.0, 0)
    narrow.joining("busy")

    busy(narrow.ask("third", ARRIVAL_LIMIT_S, 0))
    assert narrow.ask("third", ARRIVAL_LIMIT_S + 1, 0) is None
    busy(narrow.ask("fourth", ARRIVAL_LIMIT_S + 2, 0))


def test_who_asks_to_join_after_its_place_was_given_away_counts_all_the_same() -> None:
    narrow = gate(admissions=2)
    narrow.ask("slow", 0.0, 0)
    assert narrow.ask("second", ARRIVAL_LIMIT_S + 1, 0) is None

    narrow.joining("slow")
    narrow.joining("second")

    busy(narrow.ask("third", ARRIVAL_LIMIT_S + 2, 0))
    narrow.left("slow")
    assert narrow.ask("third", ARRIVAL_LIMIT_S + 3, 0) is None


def test_those_in_rooms_count_where_the_machine_carries_only_so_many() -> None:
    small = gate(participants=3)

    assert small.ask("third", 0.0, 2) is None
    busy(small.ask("fourth", 0.0, 2))
    small.left("third")
    busy(small.ask("fourth", 1.0, 3))
    assert small.next_in(2.0, 2) == "fourth"


def test_a_loop_that_is_late_lets_nobody_in_until_it_has_caught_up_well() -> None:
    slow = gate(lateness_s=1.0)
    late(slow, 0.9)
    assert slow.ask("early", 0.0, 0) is None
    slow.note_lateness(1.2)
    assert slow.ask("one bad sample", 0.0, 0) is None

    late(slow, 1.2)
    busy(slow.ask("newcomer", 1.0, 0))
    late(slow, 0.7)
    assert slow.next_in(2.0, 0) is None
    late(slow, 0.1)

    assert slow.next_in(3.0, 0) == "newcomer"


def test_lateness_can_be_left_out_of_account() -> None:
    stoic = gate(lateness_s=0.0)
    late(stoic, 30.0)

    assert stoic.ask("newcomer", 0.0, 0) is None


def test_the_end_of_a_long_queue_asks_less_often_but_often_enough() -> None:
    narrow = gate(admissions=1)
    narrow.ask("first", 0.0, 0)

    times = [busy(narrow.ask(number, 1.0 + number / 1000, 0)).retry_after_ms / 1000 for number in range(150)]

    assert times == sorted(times)
    assert (times[0], times[-1]) == (1.0, MOST_RETRY_S)


def test_the_figures_say_who_waits_and_how_late_it_is() -> None:
    narrow = gate(admissions=1)
    narrow.ask("first", 0.0, 0)
    narrow.ask("second", 0.0, 0)
    narrow.ask("second", 1.0, 0)
    late(narrow, 0.25)

    figures = narrow.figures()

    assert (figures.waiting, figures.turned_away) == (1, 2)
    assert 0.2 < figures.lateness_s <= 0.25
