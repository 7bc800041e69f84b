"""A real Chromium with invented camera and microphone, and the application page that the tests drive."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from appliance.web_files import web_folder
from tests.support.programs_found import chromium as chromium_found
from tests.support.programs_found import program

PAGES = Path(__file__).parents[1] / "e2e" / "pages"
OLDER_SDK = PAGES.parent / "node" / "node_modules" / "twilio-video-2-32" / "dist" / "twilio-video.min.js"

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--allow-loopback-in-peer-connection",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)


@contextmanager
def chromium(*flags: str, whole: bool = True) -> Iterator[Browser]:
    """Start the system's Chromium, which shows no window; not `whole`: one that has none, where it is installed."""
    path = program("chromium") if whole else chromium_found()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


class _Handler(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        if path.startswith("/twilio-video-2.32.min.js"):
            return str(OLDER_SDK)
        if path.startswith("/twilio-video.min.js"):
            return str(web_folder("guest") / "vendor" / "twilio-video.min.js")
        return super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextmanager
def application_server() -> Iterator[str]:
    """Serve the application page on loopback; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(PAGES)))
    thread = threading.Thread(target=server.serve_forever, name="application page", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/app.html"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Application:
    """The application page in one tab: what its user would do and see."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.goto(address)
        page.wait_for_function("window.app?.ready")

    def call(self, name: str, *arguments: Any) -> Any:
        return self.page.evaluate("([name, args]) => window.app[name](...args)", [name, list(arguments)])

    def join(self, *, token: str, service: str, room: str, **more: Any) -> dict[str, str]:
        """Join by the SDK; `service` is the rooms service's base address."""
        web_socket = service.replace("http", "ws", 1) + "/signaling"
        answer: dict[str, str] = self.call("join", {"token": token, "wsServer": web_socket, "room": room, **more})
        return answer

    def events(self, name: str | None = None) -> list[Any]:
        """Return the events so far, `[name, detail]`, or the details of one name."""
        events: list[Any] = self.page.evaluate("window.app.events")
        return events if name is None else [detail for kind, detail in events if kind == name]

    @property
    def errors(self) -> list[str]:
        errors: list[str] = self.page.evaluate("window.app.errors")
        return errors
