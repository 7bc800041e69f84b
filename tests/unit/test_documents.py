"""Documents that lead nowhere mislead: every relative link and picture in them has to exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    targets = [first or second for first, second in LINK.findall(document.read_text())]

    relative = [
        target.split("#")[0] for target in targets if not target.startswith(("http:", "https:", "#", "mailto:"))
    ]
    missing = [target for target in relative if target and not (document.parent / target).exists()]

    assert missing == []


def test_every_picture_of_the_documents_is_shown_somewhere() -> None:
    text = "".join(document.read_text() for document in DOCUMENTS)

    unused = [path.name for path in (ROOT / "docs" / "images").glob("*.png") if path.name not in text]

    assert unused == []
