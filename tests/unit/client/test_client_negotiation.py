"""Who may describe next: the client's side of signaling.md 4.3 and 4.4."""

from appliance.client.negotiation import Negotiation, Step
from appliance.media_engine import Description, DescriptionType


def offer(revision: int) -> Description:
    return Description(type=DescriptionType.OFFER, revision=revision, sdp="v=0")


def answer(revision: int) -> Description:
    return Description(type=DescriptionType.ANSWER, revision=revision, sdp="v=0")


def create_offer(revision: int) -> Description:
    return Description(type=DescriptionType.CREATE_OFFER, revision=revision)


def after_first_exchange() -> Negotiation:
    negotiation = Negotiation()
    negotiation.begin_offer()
    negotiation.receive(answer(1))
    return negotiation


def test_the_first_offer_has_revision_1_and_its_answer_completes_the_exchange() -> None:
    negotiation = Negotiation()

    revision = negotiation.begin_offer()
    step = negotiation.receive(answer(1))

    assert (revision, step) == (1, Step.APPLY_ANSWER)
    assert (negotiation.stable, negotiation.offering) == (1, False)


def test_an_answer_to_another_revision_is_ignored() -> None:
    negotiation = Negotiation()
    negotiation.begin_offer()

    assert negotiation.receive(answer(2)) is Step.IGNORE
    assert negotiation.offering


def test_an_answer_without_an_offer_of_ours_is_ignored() -> None:
    assert after_first_exchange().receive(answer(1)) is Step.IGNORE


def test_their_offer_takes_the_counter_over_and_ours_continues_from_it() -> None:
    negotiation = after_first_exchange()

    step = negotiation.receive(offer(2))
    negotiation.answered()

    assert step is Step.ANSWER
    assert negotiation.begin_offer() == 3


def test_an_offer_that_is_not_newer_than_the_last_exchange_is_ignored() -> None:
    assert after_first_exchange().receive(offer(1)) is Step.IGNORE


def test_in_a_collision_ours_is_dropped_and_made_again_with_the_next_revision() -> None:
    negotiation = after_first_exchange()
    negotiation.begin_offer()

    step = negotiation.receive(offer(2))
    negotiation.answered()

    assert step is Step.DROP_OURS_AND_ANSWER
    assert not negotiation.offering
    assert negotiation.begin_offer() == 3


def test_a_late_answer_to_the_dropped_offer_is_ignored() -> None:
    negotiation = after_first_exchange()
    negotiation.begin_offer()
    negotiation.receive(offer(2))
    negotiation.answered()

    assert negotiation.receive(answer(2)) is Step.IGNORE


def test_before_the_first_exchange_their_offer_waits_for_the_answer_to_ours() -> None:
    negotiation = Negotiation()
    negotiation.begin_offer()

    step = negotiation.receive(offer(2))
    early = negotiation.take_waiting()
    negotiation.receive(answer(1))

    assert step is Step.WAIT
    assert early is None
    assert negotiation.take_waiting() == offer(2)
    assert negotiation.take_waiting() is None


def test_create_offer_yields_an_offer_with_the_revision_after_it() -> None:
    negotiation = after_first_exchange()

    assert negotiation.receive(create_offer(5)) is Step.OFFER
    assert negotiation.begin_offer() == 6


def test_create_offer_on_a_new_connection_yields_revision_2() -> None:
    negotiation = Negotiation()

    assert negotiation.receive(create_offer(1)) is Step.OFFER
    assert negotiation.begin_offer() == 2


def test_create_offer_waits_while_an_offer_of_ours_is_out() -> None:
    negotiation = after_first_exchange()
    negotiation.begin_offer()

    assert negotiation.receive(create_offer(3)) is Step.WAIT
    negotiation.receive(answer(2))
    assert negotiation.take_waiting() == create_offer(3)


def test_close_always_closes_and_ours_carries_the_next_revision() -> None:
    negotiation = after_first_exchange()

    assert negotiation.receive(Description(type=DescriptionType.CLOSE, revision=0)) is Step.CLOSE
    assert negotiation.close_revision() == 2
