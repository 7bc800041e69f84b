"""When a silent client gets another peer connection, and when it is given up."""

from appliance.sfu.patience import OFFER_LIMIT_S, OFFER_TRIES, SILENCE_LIMIT_S, SILENCE_REPLACE_S, Patience, Verdict


def test_who_is_heard_and_answers_is_left_alone() -> None:
    patience = Patience(0.0)
    for second in range(100):
        patience.heard(second)
        patience.offered(second)
        assert patience.judge(second + 1) is Verdict.WAIT
        patience.answered()


def test_each_offer_without_answer_gets_twice_as_long_until_there_is_no_point() -> None:
    patience, now, verdicts = Patience(0.0), 0.0, []
    for attempt in range(OFFER_TRIES):
        patience.offered(now)
        patience.heard(now + OFFER_LIMIT_S * 2**attempt)
        assert patience.judge(now + OFFER_LIMIT_S * 2**attempt) is Verdict.WAIT
        now += OFFER_LIMIT_S * 2**attempt + 1
        verdicts.append(patience.judge(now))
        patience.replaced(now)

    assert verdicts == [Verdict.REPLACE] * (OFFER_TRIES - 1) + [Verdict.GIVE_UP]
    patience.heard(now + 100)
    assert patience.judge(now + 100) is Verdict.WAIT, "told once"


def test_an_answer_makes_up_for_earlier_ones_that_never_came() -> None:
    patience = Patience(0.0)
    patience.offered(0.0)
    assert patience.judge(OFFER_LIMIT_S + 1) is Verdict.REPLACE
    patience.replaced(OFFER_LIMIT_S + 1)
    patience.offered(20.0)
    patience.heard(20.0)
    patience.answered()

    patience.offered(20.0)

    assert patience.judge(20.0 + OFFER_LIMIT_S + 1) is Verdict.REPLACE


def test_a_silence_is_answered_by_one_replacement_and_then_by_the_end() -> None:
    patience = Patience(100.0)
    assert patience.judge(100.0 + SILENCE_REPLACE_S) is Verdict.WAIT
    assert patience.judge(101.0 + SILENCE_REPLACE_S) is Verdict.REPLACE
    patience.replaced(101.0 + SILENCE_REPLACE_S)

    assert patience.judge(100.0 + SILENCE_LIMIT_S) is Verdict.WAIT
    assert patience.judge(101.0 + SILENCE_LIMIT_S) is Verdict.LOST


def test_who_was_heard_after_a_replacement_may_be_replaced_again() -> None:
    patience = Patience(0.0)
    patience.replaced(13.0)
    patience.heard(14.0)

    assert patience.judge(14.0 + SILENCE_REPLACE_S + 1) is Verdict.REPLACE


def test_who_is_away_is_judged_when_it_is_back_and_has_all_its_time_then() -> None:
    patience = Patience(0.0)
    patience.offered(0.0)
    patience.went_away()
    assert patience.judge(1000.0) is Verdict.WAIT

    patience.came_back(1000.0)
    patience.offered(1000.0)

    assert patience.judge(1000.0 + OFFER_LIMIT_S) is Verdict.WAIT
    assert patience.judge(1001.0 + OFFER_LIMIT_S) is Verdict.REPLACE
