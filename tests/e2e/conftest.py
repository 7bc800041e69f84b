"""One browser for all end-to-end tests, a fresh profile for each; a stack of its own where its module has none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from appliance.web_files import web_folder
from tests.support.browser import Application, application_server, chromium
from tests.support.stack import Stack, running_stack
from tests.support.wire_pages import Meeting, meeting_in


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium(whole=False) as running:
        yield running


@pytest.fixture(scope="session")
def application_address() -> Iterator[str]:
    if not (web_folder("guest") / "vendor" / "twilio-video.min.js").exists():
        pytest.skip("the Video SDK is not there: ./run test fetches it where npm is installed")
    with application_server() as address:
        yield address


@pytest.fixture
def open_application(browser: Browser, application_address: str) -> Iterator[Callable[[], Application]]:
    """Open the application page in a profile of its own, as another person would."""
    contexts = []

    def open_page() -> Application:
        context = browser.new_context(permissions=["camera", "microphone"])
        contexts.append(context)
        return Application(context.new_page(), application_address)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        yield running


@pytest.fixture
def meeting(stack: Stack, browser: Browser, application_address: str) -> Iterator[Meeting]:
    """People of a room of their own on the module's stack."""
    with meeting_in(stack, browser, application_address) as running:
        yield running


@pytest.fixture(autouse=True)
def logs_beside_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show what a test's programs said last, where it failed: of a stack of its own and of one for a whole module."""
    names = [name for name in request.fixturenames if name.endswith("stack")]
    stacks: set[Stack] = {request.getfixturevalue(name) for name in names}
    yield
    report = getattr(request.node, "report_call", None)
    for stack in stacks if report is not None and report.failed else ():
        print(stack.logs())  # noqa: T201  pytest shows it beside the failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    report = yield
    if call.when == "call":
        item.report_call = report  # type: ignore[attr-defined]
    return report
