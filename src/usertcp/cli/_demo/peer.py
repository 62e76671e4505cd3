"""The other side on kernel TCP: a process that serves until its standard input ends.

    python -m usertcp.cli._demo.peer HOST...

Serves `site` over AnyIO's own listeners, and one page over the standard library's http.server (an
implementation that shares no line with ours) on every HOST. Prints one line of JSON with the ports.
"""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, AddressFamily

import anyio
from anyio.abc import ByteStream

from usertcp.cli._demo import site
from usertcp.cli._http import serve_connection

LIFETIME = 120.0
"""Seconds after which the process ends whatever happens."""


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = site.HOME.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:  # standard error is the demo's
        pass


def _http_server(host: str) -> int:
    """An http.server in a daemon thread; its port."""

    class Server(ThreadingHTTPServer):
        address_family: AddressFamily = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True

    server = Server((host, 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


async def _serve(stream: ByteStream) -> None:
    try:
        async with stream:
            await serve_connection(stream, site.handle)
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        pass  # the client's part of the demo notices by itself


async def _main(hosts: list[str]) -> None:
    with anyio.move_on_after(LIFETIME):
        async with anyio.create_task_group() as group:
            ports: dict[str, dict[str, int]] = {}
            for host in hosts:
                listener = await anyio.create_tcp_listener(local_host=host)
                group.start_soon(listener.serve, _serve)
                local = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
                ports[host] = {"anyio": local, "http.server": _http_server(host)}
            print(json.dumps(ports), flush=True)
            await anyio.wait_readable(0)
            group.cancel_scope.cancel()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    anyio.run(_main, sys.argv[1:])
