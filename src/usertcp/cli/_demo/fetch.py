"""GET over kernel TCP from a process of its own: curl, or http.client where curl is missing.

Both print every page followed by a line of MARK, status and number of new connections, which is how
the demo knows that pages are right and that one connection carried them all.
"""

import http.client
import shutil
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

MARK = "<-"
CLOSE = "Connection: close"
TIMEOUT = 10
"""Seconds for everything one process fetches."""


def tool() -> str:
    return "curl" if shutil.which("curl") else "http.client"


def command(urls: Sequence[str], *, close: bool) -> list[str]:
    """What to run. One process, so one connection while the server keeps it open.

    `close` asks the server to close after every request.
    """
    fields = [CLOSE] if close else []
    if tool() != "curl":
        return [sys.executable, "-m", "usertcp.cli._demo.fetch", *fields, *urls]
    options = ["-q", "-sS", "-g", "--http1.1", "--noproxy", "*", "--max-time", str(TIMEOUT)]
    options += [part for line in fields for part in ("-H", line)]
    return ["curl", *options, "-w", f"{MARK} %{{http_code}} %{{num_connects}}\\n", *urls]


def expected(pages: Sequence[str], *, close: bool) -> str:
    """The output when all went well; without `close` only the first request has to connect."""
    return "".join(f"{text}{MARK} 200 {int(close or at == 0)}\n" for at, text in enumerate(pages))


def main(arguments: Sequence[str]) -> None:
    close = CLOSE in arguments
    connection: http.client.HTTPConnection | None = None
    for url in arguments:
        if url == CLOSE:
            continue
        parts = urlsplit(url)
        new = connection is None or connection.sock is None
        if connection is None:
            assert parts.hostname is not None
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
        connection.request("GET", parts.path, headers={"Connection": "close"} if close else {})
        reply = connection.getresponse()
        sys.stdout.write(f"{reply.read().decode()}{MARK} {reply.status} {int(new)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
