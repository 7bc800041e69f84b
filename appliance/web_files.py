"""Where the pages of panel and guest lie: beside the package in a wheel, at the top of a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def web_folder(page: str) -> Path:
    """Return the folder of `panel` or `guest`.

    Raises:
        FileNotFoundError: naming both places that were tried.
    """
    places = (_PACKAGE / "web" / page, _PACKAGE.parent / "web" / page)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"the files of the {page} page are in neither {places[0]} nor {places[1]}")
