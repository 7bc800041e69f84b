"""How much video this machine has time for, told by how much it had to throw away. Pure."""

LOOK_EVERY_S = 0.5
_LESS = 0.7
_MORE = 1.05
_LEAST = 0.02
_CALM_S = 3.0


class Pressure:
    """One engine's. Every subscriber is given `share`, 0 … 1, of the video that its path and its wishes would allow.

    While packets are thrown away the share falls by three tenths at each look, so that the layers which are forwarded
    become smaller and the last are switched off; once that has not happened for three seconds it grows by a twentieth
    at each. Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self.share = 1.0
        self._shed = 0
        self._shed_at = float("-inf")
        self._looked_at = float("-inf")

    @property
    def is_off(self) -> bool:
        """Nothing is held back."""
        return self.share >= 1.0

    def look(self, shed: int, now: float) -> bool:
        """Take how many packets were thrown away in all; called often. True when it begins: somebody should know."""
        if now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        began = False
        if shed > self._shed:
            began = self.is_off
            self._shed, self._shed_at = shed, now
            self.share = max(_LEAST, _LESS * self.share)
        elif now - self._shed_at >= _CALM_S:
            self.share = min(1.0, _MORE * self.share)
        return began
