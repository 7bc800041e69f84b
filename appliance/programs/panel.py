"""`room-kiosk panel`: the page on the device, Flask on gunicorn's `gthread` worker."""

import logging
from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from appliance.errors import ConfigurationError
from appliance.panel.app import create_app
from appliance.panel.kiosk_socket import KioskSocket
from appliance.panel.settings import PanelSettings, parse_bind
from appliance.panel.worker import PanelWorker
from appliance.programs.ready_file import write_ready_file

_log = logging.getLogger(__name__)

REQUEST_THREADS = 8
"""Besides one for each stream, so that streams never use up the request workers (kiosk.md 9)."""
GRACE_S = 1
"""What is running when the panel is told to stop gets this long."""


class _Panel(BaseApplication):  # type: ignore[misc]
    """The panel as gunicorn wants it: settings by `load_config`, the application made in the worker by `load`."""

    def __init__(self, settings: PanelSettings, ready_file: Path | None) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._kiosk: KioskSocket | None = None
        super().__init__(prog="room-kiosk panel")

    def load_config(self) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        for key, value in {
            "bind": f"{host}:{self._settings.port}",
            "worker_class": PanelWorker,
            "workers": 1,  # one process holds the one watching connection and counts the streams
            "threads": self._settings.max_streams + REQUEST_THREADS,
            "worker_connections": 100,
            "keepalive": 5,
            "graceful_timeout": GRACE_S,
            "timeout": 30,
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "proc_name": "room-kiosk-panel",
            "control_socket_disable": True,
            "loglevel": "warning",
            "when_ready": lambda server: _say_where(self._ready_file, server),
        }.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> Any:
        # In the worker, after the fork: threads do not live through one.
        self._kiosk = KioskSocket(self._settings.socket_path, self._settings.answer_within_s)
        self._kiosk.start()
        return create_app(self._settings, self._kiosk)

    def close_streams(self) -> None:
        if self._kiosk is not None:
            self._kiosk.close()


def _say_where(ready_file: Path | None, server: Any) -> None:
    host, port = server.LISTENERS[0].sock.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    _log.info("the panel listens on %s", url)
    write_ready_file(ready_file, {"url": url})


def run(settings: PanelSettings, ready_file: Path | None = None) -> None:
    """Serve until told to stop (SIGTERM, SIGINT). Raise ConfigurationError for settings that cannot be used."""
    settings.check()
    _Panel(settings, ready_file).run()


@click.command("panel")
@click.option(
    "--socket", "socket_path", required=True, type=click.Path(path_type=Path), help="The kiosk's control socket."
)
@click.option(
    "--bind", default="127.0.0.1:8090", show_default=True, help="Address and port to listen on; port 0: a free one."
)
@click.option("--name", "names", multiple=True, help="A further name the page may be asked for by.")
@click.option(
    "--open-to-network",
    is_flag=True,
    help="Allow an address that others can reach, although the page has neither sign-in nor TLS yet.",
)
@click.option("--max-streams", default=8, show_default=True, help="Pages that may watch at once.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written, with the address, once the page answers.")
def panel(
    socket_path: Path,
    bind: str,
    names: tuple[str, ...],
    open_to_network: bool,
    max_streams: int,
    ready_file: Path | None,
) -> None:
    """Serve the control page of the kiosk whose control socket this is."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        host, port = parse_bind(bind)
        run(
            PanelSettings(
                socket_path=socket_path,
                host=host,
                port=port,
                names=names,
                open_to_network=open_to_network,
                max_streams=max_streams,
            ),
            ready_file,
        )
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
