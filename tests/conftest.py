"""What every test gets: `--long` for what runs for minutes, `--measuring` for what wants the machine for itself."""

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes: fuzzing, soaks, a hundred kills")
    parser.addoption(
        "--measuring",
        choices=("with", "without", "only"),
        default="with",
        help="leave out the tests that compare rates, sounds or freezes and so want all cores, or run only these",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (wanted := config.getoption("--measuring")) != "with":
        others = [item for item in items if (item.get_closest_marker("measuring") is None) is (wanted == "only")]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run ./run test --long"))
