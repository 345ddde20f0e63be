"""`tuwen explore DIR`"""

from __future__ import annotations

import argparse
import socket
import webbrowser

from tuwen.errors import TuwenError, UsageError

PORT = 8000
TRIED = 20  # ports from the first one on, where none was asked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("corpus", metavar="DIR", help="corpus folder")
    parser.add_argument("--port", type=int, metavar="N", help=f"port on 127.0.0.1 (default: a free one from {PORT} on)")
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def run(arguments: argparse.Namespace) -> int:
    """Serve the explorer's pages until interrupted."""
    try:
        import uvicorn

        from tuwen.explorer.app import make_app
    except ModuleNotFoundError as error:
        raise UsageError(f"the explorer needs {error.name}; run: pip install 'tuwen[explore]'") from None
    listening = _listening(arguments.port)
    port = listening.getsockname()[1]
    app = make_app(arguments.corpus, port)
    url = f"http://127.0.0.1:{port}/"
    print(f"{arguments.corpus} is at {url} for this machine alone; Ctrl-C ends it.", flush=True)
    if not arguments.no_browser:
        webbrowser.open(url)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False))
    server.run([listening])
    return 0


def _listening(port: int | None) -> socket.socket:
    """A socket on 127.0.0.1 that takes connections before the page is announced."""
    wanted = [port] if port is not None else range(PORT, PORT + TRIED)
    for each in wanted:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(("127.0.0.1", each))
            made.listen(128)
        except (OSError, OverflowError):
            made.close()
            continue
        return made
    asked = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + TRIED - 1} are"
    raise TuwenError(f"{asked} taken on 127.0.0.1; name another one: --port N")
