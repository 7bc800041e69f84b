"""The files of both pages: same tokens, whole catalogues, nothing that the content policy would stop."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.web_files import web_folder

PAGES = {"panel": web_folder("panel"), "guest": web_folder("guest")}
HTML = [folder / "index.html" for folder in PAGES.values()]
SCRIPTS = [path for folder in PAGES.values() for path in sorted((folder / "js").glob("*.js"))]


def texts(script: Path, name: str) -> dict[str, str]:
    """Return one catalogue of a words.js, `const EN = {…};`."""
    body = re.search(rf"const {name} = \{{(.*?)\n\}};", script.read_text(), re.S)
    assert body
    return {key: json.loads(value) for key, value in re.findall(r'^  "([^"]+)": ("(?:[^"\\]|\\.)*"),$', body[1], re.M)}


@pytest.mark.parametrize("page", PAGES)
def test_every_text_is_there_in_both_languages_with_the_same_gaps_to_fill(page: str) -> None:
    script = PAGES[page] / "js" / "words.js"
    english, german = texts(script, "EN"), texts(script, "DE")

    assert len(english) > 60
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key])), key


@pytest.mark.parametrize("page", PAGES)
def test_texts_do_not_beg_shout_or_speak_jargon(page: str) -> None:
    script = PAGES[page] / "js" / "words.js"
    for text in [*texts(script, "EN").values(), *texts(script, "DE").values()]:
        assert not re.search(r"\b(please|oops|sorry|bitte|ICE|DTLS|SDP)\b|!", text, re.I if text.islower() else 0), text


@pytest.mark.parametrize("page", PAGES)
def test_every_text_that_the_page_asks_for_exists(page: str) -> None:
    known = texts(PAGES[page] / "js" / "words.js", "EN")
    asked = set(re.findall(r'data-words(?:-label|-alt)?="([^"]+)"', (PAGES[page] / "index.html").read_text()))
    for script in sorted((PAGES[page] / "js").glob("*.js")):
        asked |= set(re.findall(r'\bt\("([a-z_.]+)"', script.read_text()))

    assert asked - known.keys() == set()


def test_both_pages_carry_the_same_tokens() -> None:
    panel, guest = (folder / "css" / "tokens.css" for folder in PAGES.values())
    assert panel.read_bytes() == guest.read_bytes()


@pytest.mark.parametrize("page", HTML, ids=lambda path: path.parent.name)
def test_nothing_inline_and_nothing_from_elsewhere(page: Path) -> None:
    text = page.read_text() + "".join(path.read_text() for path in page.parent.glob("*.svg"))

    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


@pytest.mark.parametrize("page", HTML, ids=lambda path: path.parent.name)
def test_no_id_is_used_twice_not_even_by_a_drawing(page: Path) -> None:
    text = page.read_text() + "".join(path.read_text() for path in page.parent.glob("*.svg"))
    ids = re.findall(r'\sid="([^"]+)"', text)

    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("page", PAGES)
def test_every_drawing_that_is_used_is_in_the_sprite(page: str) -> None:
    folder = PAGES[page]
    whole = "".join(path.read_text() for path in (folder / "index.html", *folder.glob("*.svg")))
    symbols = set(re.findall(r'<symbol id="([^"]+)"', whole))
    used = set(re.findall(r'<use href="#([^"]+)"', whole))
    for script in (folder / "js").glob("*.js"):
        used |= set(re.findall(r'\bicon\("([a-z-]+)"', script.read_text()))

    assert used - symbols == set()


def test_the_sdk_is_pinned_and_the_lock_names_no_registry() -> None:
    guest = PAGES["guest"]
    package, lock = (
        json.loads((guest / "package.json").read_text()),
        json.loads((guest / "package-lock.json").read_text()),
    )
    pinned = package["dependencies"]["twilio-video"]

    assert re.fullmatch(r"\d+\.\d+\.\d+", pinned)
    assert lock["packages"]["node_modules/twilio-video"]["version"] == pinned
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
    assert "resolved" not in (guest / "package-lock.json").read_text()


def test_no_token_leaves_for_telemetry() -> None:
    assert "insights: false" in (PAGES["guest"] / "js" / "main.js").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_every_module_is_well_formed(script: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    subprocess.run(
        [node, "--input-type=module", "--check"], input=script.read_bytes(), check=True, capture_output=True, timeout=30
    )
