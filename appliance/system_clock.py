"""The one real clock. Programs make it and hand it in; nothing else may read the operating system's time through it."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clock of the operating system; satisfies `appliance.clock.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
