"""Where the rooms service keeps what must outlive it."""

import os
from pathlib import Path

from appliance import PRODUCT


def rooms_state_folder() -> Path:
    """Return the folder that the service manager gives, or one of the user's own."""
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given) if given else Path.home() / ".local" / "state" / f"{PRODUCT}-rooms"
