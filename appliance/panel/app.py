"""The Flask application: routes, files, refusals, and the guards around them."""

import logging
import secrets
from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, g, jsonify, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from appliance.errors import CommandRefused
from appliance.panel.control import control
from appliance.panel.guards import SECURITY_HEADERS, KnownHosts, check_same_page
from appliance.panel.kiosk import Kiosk, KioskSilent
from appliance.panel.live import Streams, live
from appliance.panel.problems import STATUS_OF, Problem
from appliance.panel.settings import MAX_BODY_BYTES, PanelSettings
from appliance.web_files import web_folder

_log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LANGUAGES = ("en", "de")


def create_app(settings: PanelSettings, kiosk: Kiosk, folder: Path | None = None) -> Flask:
    """Build the page around a kiosk. Opens nothing: whoever made `kiosk` starts and closes it."""
    folder = folder or web_folder("panel")
    app = Flask("room-kiosk-panel", template_folder=str(folder), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions.update(kiosk=kiosk, settings=settings, streams=Streams(settings.max_streams))
    app.register_blueprint(control)
    app.register_blueprint(live)
    _add_page(app, folder)
    _add_guards(app, KnownHosts((*settings.names, settings.host)))
    _add_refusals(app)
    return app


def _add_page(app: Flask, folder: Path) -> None:
    @app.get("/")
    def page() -> ResponseReturnValue:
        wanted = (tag.lower().partition("-")[0] for tag in request.accept_languages.values())
        language = next((tag for tag in wanted if tag in LANGUAGES), LANGUAGES[0])
        response = app.make_response(render_template("index.html", language=language))
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Vary"] = "Accept-Language"
        return response

    @app.get("/<any(css, js, images):kind>/<path:name>")
    def file(kind: str, name: str) -> ResponseReturnValue:
        return send_from_directory(folder / kind, name, max_age=0)

    @app.get("/manifest.webmanifest")
    def manifest() -> ResponseReturnValue:
        return send_from_directory(folder, "manifest.webmanifest", mimetype="application/manifest+json", max_age=0)


def _add_guards(app: Flask, hosts: KnownHosts) -> None:
    @app.before_request
    def guard() -> None:
        g.request_id = secrets.token_hex(8)
        hosts.check(request.headers.get("Host"))
        if request.method in SAFE_METHODS:
            return
        check_same_page(request.headers)
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise Problem("too_large", f"The body is larger than {MAX_BODY_BYTES // 1024} KiB.")
        if request.content_length and request.mimetype != "application/json":
            raise Problem("invalid_request", "Send application/json.")

    @app.after_request
    def fence(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _add_refusals(app: Flask) -> None:
    @app.errorhandler(Problem)
    def refused(problem: Problem) -> ResponseReturnValue:
        response = jsonify(problem.document(g.get("request_id", "")))
        response.status_code = problem.status
        response.mimetype = "application/problem+json"
        if problem.retry_after_s:
            response.headers["Retry-After"] = str(problem.retry_after_s)
        return response

    @app.errorhandler(CommandRefused)
    def refused_by_the_kiosk(error: CommandRefused) -> ResponseReturnValue:
        return refused(Problem(error.code if error.code in STATUS_OF else "internal", str(error)))

    @app.errorhandler(KioskSilent)
    def silent(error: KioskSilent) -> ResponseReturnValue:
        _log.info("a request found the kiosk silent: %s", error)
        return refused(Problem("unavailable", "The kiosk does not answer. Try again in a moment.", retry_after_s=2))

    @app.errorhandler(HTTPException)
    def not_ours(error: HTTPException) -> ResponseReturnValue:
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        code = {404: "not_found", 413: "too_large", 500: "internal"}.get(status, "invalid_request")
        answer = refused(Problem(code, error.description or error.name, status=status))
        response = app.make_response(answer)
        for name, value in error.get_headers():
            if name in ("Allow", "Location"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> ResponseReturnValue:
        _log.error("request %s failed", g.get("request_id", ""), exc_info=error)
        return refused(Problem("internal", "The panel made an error. The log names it by the request id."))
