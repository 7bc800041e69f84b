"""The command line: `room-kiosk VERB` or `python -m appliance VERB`.

Each verb's module is imported when the verb is used, so that the rooms service runs without the kiosk's libraries and
the other way round.
"""

import gc
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from appliance import PRODUCT, __version__

VERBS: Mapping[str, tuple[str, str, str]] = {
    "kiosk": ("appliance.programs.kiosk", "kiosk", "Run the kiosk: capture, join rooms, show and play."),
    "panel": ("appliance.programs.panel", "panel", "Run the control page of a kiosk."),
    "rooms": ("appliance.programs.rooms", "rooms", "Run the rooms service, or administer it."),
    "token": ("appliance.programs.token", "token", "Mint an access token for a room."),
    "ctl": ("appliance.programs.ctl", "ctl", "Control a running kiosk from its own machine."),
    "check-config": ("appliance.programs.kiosk", "check_config", "Check the kiosk's configuration files."),
    "demo": ("appliance.programs.demo", "demo", "Run everything together on this machine."),
}
"""verb: module, attribute that holds the click command, one line of help."""

EXTRAS = {"kiosk": "kiosk", "panel": "kiosk", "rooms": "rooms", "demo": "kiosk,rooms"}
"""verb: the extras to install where a library is missing."""


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Import without the garbage collector.

    Nothing that an import makes is garbage, and walking all of it again and again is a tenth of a start.
    """
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


class LazyGroup(click.Group):
    """A click group that imports a verb's module only when somebody asks for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, attribute, _ = VERBS[cmd_name]
        try:
            with collector_at_rest():
                command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name and error.name.split(".")[0] == "appliance":
                raise
            extra = EXTRAS.get(cmd_name, "kiosk,rooms")
            raise click.ClickException(
                f"`{PRODUCT} {cmd_name}` needs the library {error.name!r}: pip install '{PRODUCT}[{extra}]'"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, help_line) for verb, (_, _, help_line) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PRODUCT)
def main() -> None:
    """A meeting-room video kiosk, and the rooms service it joins.

    `room-kiosk VERB --help` tells more of each verb. To see everything work on one machine: `room-kiosk demo`.
    """


if __name__ == "__main__":
    main()
