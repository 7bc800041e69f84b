"""The import linter can only hold modules that it knows: whoever calls a module pure must name it in pyproject.toml."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def modules_that_call_themselves_pure() -> Iterator[str]:
    for path in sorted((PROJECT / "appliance").rglob("*.py")):
        if path.name == "__init__.py":  # speaks of its modules
            continue
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        if any(word in said for word in ("Pure.", "Pure:", "Pure;", "Pure,", "Pure values", "; pure")):
            yield ".".join(path.relative_to(PROJECT).with_suffix("").parts)


def modules_held_to_do_no_io() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    [held] = [contract["source_modules"] for contract in contracts if contract["name"] == "What decides does no I/O"]
    return list(held)


def test_every_module_that_calls_itself_pure_is_held_to_it() -> None:
    # given
    held = modules_held_to_do_no_io()

    # when
    pure = list(modules_that_call_themselves_pure())

    # then
    assert len(pure) > 50  # it finds them at all
    loose = [name for name in pure if not any(name == one or name.startswith(f"{one}.") for one in held)]
    assert loose == []
