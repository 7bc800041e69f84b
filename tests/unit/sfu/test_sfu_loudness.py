"""Who speaks, from levels over time."""

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from appliance.sfu.loudness import MARGIN_DB, PAUSE_S, ROUND_S, SILENCE, SPEECH_DB, Loudness
from appliance.sids import ParticipantSid

ALICE, BOB, CAROL = ParticipantSid("PAalice"), ParticipantSid("PAbob"), ParticipantSid("PAcarol")
TICK_S = 0.05


class Ears:
    """A Loudness with a clock: `hear` lets the same levels last for a time."""

    def __init__(self) -> None:
        self.loudness = Loudness()
        self.now = 100.0
        self.changes: list[ParticipantSid | None] = []

    def hear(self, seconds: float, levels: Mapping[ParticipantSid, int]) -> ParticipantSid | None:
        for _ in range(round(seconds / TICK_S)):
            if self.loudness.listen(levels, self.now):
                self.changes.append(self.loudness.loudest)
            self.now += TICK_S
        return self.loudness.loudest


def test_whoever_speaks_is_the_loudest_after_two_rounds_and_not_before() -> None:
    ears = Ears()

    early = ears.hear(ROUND_S, {ALICE: 30, BOB: 70})
    later = ears.hear(3 * ROUND_S, {ALICE: 30, BOB: 70})

    assert (early, later) == (None, ALICE)


def test_noise_is_nobody() -> None:
    assert Ears().hear(10.0, {ALICE: 60, BOB: 75}) is None


def test_a_door_that_slams_is_nobody() -> None:
    ears = Ears()
    ears.hear(3 * ROUND_S + 2 * TICK_S, {ALICE: 80})
    ears.hear(2 * TICK_S, {ALICE: 5})
    ears.hear(3.0, {ALICE: 80})

    assert not ears.changes


def test_one_who_is_a_little_louder_does_not_take_over() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 30})

    assert ears.hear(10.0, {ALICE: 30, BOB: 30 - int(MARGIN_DB) + 1}) == ALICE


def test_one_who_is_clearly_louder_takes_over_once() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 40})

    assert ears.hear(2.0, {ALICE: 40, BOB: 40 - int(MARGIN_DB) - 1}) == BOB
    assert ears.changes == [ALICE, BOB]


def test_gaps_between_words_do_not_hand_over_to_whoever_breathes() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 25, BOB: 45})
    for _ in range(20):
        ears.hear(0.15, {ALICE: SILENCE, BOB: 45})
        ears.hear(0.25, {ALICE: 25, BOB: 45})

    assert ears.changes == [ALICE]


def test_a_pause_keeps_the_speaker_and_a_long_silence_is_nobody() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 25})

    pausing = ears.hear(PAUSE_S - 2 * ROUND_S, {ALICE: SILENCE})
    silent = ears.hear(4 * ROUND_S, {ALICE: SILENCE})

    assert (pausing, silent) == (ALICE, None)


def test_who_answers_a_speaker_that_has_fallen_silent_takes_over_within_two_rounds_and_a_bit() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 25, BOB: 70})

    assert ears.hear(3 * ROUND_S + 2 * TICK_S, {ALICE: SILENCE, BOB: 35}) == BOB


def test_a_muted_or_gone_speaker_is_dropped_at_once() -> None:
    ears = Ears()
    ears.hear(2.0, {ALICE: 25, BOB: 70})

    assert ears.hear(TICK_S, {BOB: 70}) is None


def test_an_empty_room_is_nobody() -> None:
    assert Ears().hear(1.0, {}) is None


Scenes = list[tuple[float, dict[ParticipantSid, int]]]
_PEOPLE = st.dictionaries(st.sampled_from([ALICE, BOB, CAROL]), st.integers(0, SILENCE))
_SCENES = st.lists(st.tuples(st.sampled_from([0.05, 0.1, 0.3, 1.0, 4.0]), _PEOPLE), max_size=12)


@given(_SCENES)
def test_the_loudest_is_always_someone_who_can_be_heard_and_changes_are_told(scenes: Scenes) -> None:
    ears = Ears()
    for seconds, levels in scenes:
        loudest = ears.hear(seconds, levels)

        assert loudest is None or loudest in levels
        assert loudest == (ears.changes[-1] if ears.changes else None)
    assert all(one != other for one, other in zip([None, *ears.changes], ears.changes, strict=False))


@given(_SCENES, _PEOPLE)
def test_what_lasts_decides_whatever_was_before(scenes: Scenes, last: dict[ParticipantSid, int]) -> None:
    ears = Ears()
    for seconds, levels in scenes:
        ears.hear(seconds, levels)

    loudest = ears.hear(PAUSE_S + 4 * ROUND_S, last)

    speaking = [sid for sid, level in last.items() if level <= SPEECH_DB - 1]
    if loudest is None:
        assert not speaking
    else:
        assert last[loudest] <= SPEECH_DB + 1
        assert all(last[loudest] < level + MARGIN_DB + 1 for level in last.values())


@given(_SCENES)
def test_changes_keep_a_distance_of_two_rounds_unless_a_speaker_left(scenes: Scenes) -> None:
    ears = Ears()
    taken: list[float] = []
    for seconds, levels in scenes:
        for _ in range(round(seconds / TICK_S)):
            before = len(ears.changes)
            ears.hear(TICK_S, levels)
            if len(ears.changes) > before and ears.changes[-1] is not None:
                taken.append(ears.now)

    assert all(later - earlier > ROUND_S for earlier, later in pairwise(taken))
