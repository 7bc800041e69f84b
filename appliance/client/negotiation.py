"""Who may describe next, and what to do with a description that arrives: one per peer connection. Pure.

The counter is shared by both sides: the next offer takes the last used revision + 1, whoever makes it, an answer
takes that of its offer (signaling.md 4.3). We are the polite end (4.4): where both offer at once, ours is dropped,
theirs answered, ours made again. Until the very first exchange is complete, their offer has to wait.
"""

from dataclasses import dataclass
from enum import Enum, auto

from appliance.media_engine import Description, DescriptionType


class Step(Enum):
    """What the peer connection has to do with a description that arrived."""

    IGNORE = auto()
    APPLY_ANSWER = auto()  # to our pending offer
    ANSWER = auto()  # their offer; none of ours is pending
    DROP_OURS_AND_ANSWER = auto()  # their offer; forget ours, offer again afterwards
    WAIT = auto()  # kept until our first offer is answered; come back with `take_waiting`
    OFFER = auto()  # they asked for an offer of ours
    CLOSE = auto()


@dataclass(slots=True)
class Negotiation:
    """The state of one peer connection's exchange.

    Attributes:
        revision: the last one used by either side.
        stable: that of the last completed exchange, 0 before the first.
        offering: whether an offer of ours is out and unanswered.
    """

    revision: int = 0
    stable: int = 0
    offering: bool = False
    _waiting: Description | None = None

    def begin_offer(self) -> int:
        """Return the revision of the offer that is about to be sent."""
        self.revision += 1
        self.offering = True
        return self.revision

    def receive(self, description: Description) -> Step:
        """Decide what to do with `description`; where it says to act, the counters have moved already."""
        match description.type:
            case DescriptionType.CLOSE:
                return Step.CLOSE
            case DescriptionType.ANSWER:
                return self._receive_answer(description.revision)
            case DescriptionType.OFFER:
                return self._receive_offer(description)
            case DescriptionType.CREATE_OFFER:
                return self._receive_create_offer(description)

    def answered(self) -> None:
        """Their offer is answered: the exchange is complete."""
        self.stable = self.revision

    def take_waiting(self) -> Description | None:
        """Return what had to wait for the first answer, once that answer is applied."""
        if self.offering:
            return None
        waiting, self._waiting = self._waiting, None
        return waiting

    def close_revision(self) -> int:
        return self.revision + 1

    def _receive_answer(self, revision: int) -> Step:
        if not self.offering or revision != self.revision:
            return Step.IGNORE
        self.offering = False
        self.stable = revision
        return Step.APPLY_ANSWER

    def _receive_offer(self, description: Description) -> Step:
        if description.revision <= self.stable:
            return Step.IGNORE
        if self.offering and self.stable == 0:
            self._waiting = description
            return Step.WAIT
        collided, self.offering = self.offering, False
        self.revision = description.revision
        return Step.DROP_OURS_AND_ANSWER if collided else Step.ANSWER

    def _receive_create_offer(self, description: Description) -> Step:
        if description.revision <= self.stable:
            return Step.IGNORE
        if self.offering:
            self._waiting = description
            return Step.WAIT
        self.revision = description.revision
        return Step.OFFER
