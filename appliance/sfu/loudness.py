"""Who speaks in a room, from the audio levels that its participants' packets carry (RFC 6464). Pure.

A level is in dB below the loudest possible, 0 to 127, as the packets say it; 127 is silence.
"""

import math
from collections.abc import Mapping

from appliance.sids import ParticipantSid

SILENCE = 127
SMOOTHING_S = 0.1
ROUND_S = 0.3
MARGIN_DB = 6.0
"""Twice the sound pressure: so much louder than the speaker must be whoever is to follow."""
ROUNDS_TO_WIN = 2
SPEECH_DB = 50.0
"""What is quieter is not speech: a close voice has 15 to 40, a quiet room 60 and more."""
PAUSE_S = 3.0
"""A speaker stays for so long while nobody speaks: people pause, and a picture that jumps at each breath is no help."""


class Loudness:
    """The ears of one room. `listen` is called every 50 ms or so; `loudest` is who speaks, None for nobody.

    Levels are smoothed, and of each round of 300 ms the loudest moment counts, so that a gap between two words is no
    defeat. Whoever is clearly louder than the speaker in two rounds in a row follows it; where nobody speaks, two
    rounds of speech do. A speaker that cannot be heard any more, muted or gone, is dropped at once; one that is silent,
    and nobody else speaks, after `PAUSE_S`. Times are seconds on the caller's clock.
    """

    def __init__(self) -> None:
        self.loudest: ParticipantSid | None = None
        self._smoothed: dict[ParticipantSid, float] = {}
        self._peaks: dict[ParticipantSid, float] = {}
        self._challenger: ParticipantSid | None = None
        self._rounds_won = 0
        self._listened_at: float | None = None
        self._round_ends = float("-inf")
        self._spoke_at = float("-inf")

    def listen(self, levels: Mapping[ParticipantSid, int], now: float) -> bool:
        """Take the level of everyone who can be heard; tell whether `loudest` is another than before."""
        before = self.loudest
        self._smooth(levels, now)
        if self.loudest is not None and self.loudest not in levels:
            self.loudest = None
        if now >= self._round_ends:
            self._judge(now)
            self._round_ends = now + ROUND_S
            self._peaks = {}
        return self.loudest != before

    def _smooth(self, levels: Mapping[ParticipantSid, int], now: float) -> None:
        passed_s = max(0.0, now - self._listened_at) if self._listened_at is not None else 0.0
        self._listened_at = now
        share = 1.0 - math.exp(-passed_s / SMOOTHING_S)
        smoothed = {}
        for sid, level in levels.items():
            known = self._smoothed.get(sid, float(SILENCE))
            smoothed[sid] = known + (level - known) * share
        self._smoothed = smoothed
        self._peaks = {sid: min(value, self._peaks.get(sid, SILENCE)) for sid, value in smoothed.items()}

    def _judge(self, now: float) -> None:
        """End a round."""
        quietest = float(SILENCE)
        sid, level = min(self._peaks.items(), key=lambda entry: (entry[1], entry[0]), default=(None, quietest))
        speaker_level = quietest if self.loudest is None else self._peaks.get(self.loudest, quietest)
        if speaker_level <= SPEECH_DB:
            self._spoke_at = now
        wins = sid != self.loudest and level <= SPEECH_DB and level + MARGIN_DB <= speaker_level
        self._rounds_won = (self._rounds_won + 1 if sid == self._challenger else 1) if wins else 0
        self._challenger = sid if wins else None
        if self._rounds_won >= ROUNDS_TO_WIN:
            self.loudest, self._challenger, self._rounds_won, self._spoke_at = sid, None, 0, now
        elif self.loudest is not None and now - self._spoke_at > PAUSE_S:
            self.loudest = None
