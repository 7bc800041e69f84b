"""The peer of the REST measurement: one aiohttp route that answers a JSON object of the same size, and nothing else."""

import json
import socket
import sys
from pathlib import Path

from aiohttp import web


def main() -> None:
    """Listen on a free port of loopback; write its address to the file that is named."""
    text = json.dumps({"sid": "RM" + "0" * 32, "filling": "x" * 1100})

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=text, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    listener = socket.create_server(("127.0.0.1", 0))
    Path(sys.argv[1]).write_text(f"http://127.0.0.1:{listener.getsockname()[1]}")
    web.run_app(app, sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
