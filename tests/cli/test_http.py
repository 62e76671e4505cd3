"""The demo's HTTP/1.1: what it accepts, answers and refuses, over plain memory streams."""

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from usertcp.cli import _http
from usertcp.cli._demo import site

pytestmark = pytest.mark.anyio


class Wire(ByteStream):
    """A client that has sent `pieces` and then closed its side; `output` is what it got."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.pieces = list(pieces)
        self.output = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self.pieces:
            raise anyio.EndOfStream
        piece = self.pieces.pop(0)
        if len(piece) > max_bytes:
            self.pieces.insert(0, piece[max_bytes:])
        return piece[:max_bytes]

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.output += item

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


async def answers(*pieces: bytes) -> tuple[bytes, int]:
    """What the server says to a client that sends `pieces` and no more; how many it served."""
    wire = Wire(pieces)
    served = await _http.serve_connection(wire, site.handle)
    return wire.output, served


def get(path: str, *fields: str, version: str = "1.1") -> bytes:
    lines = [f"GET {path} HTTP/{version}", "Host: x", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def test_serves_pipelined_requests_in_whatever_pieces_they_come():
    wire = get("/page/3") + get("/") + get("/nowhere")
    whole, served = await answers(wire)
    assert served == 3
    assert site.page(3).encode() in whole
    assert whole.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert whole.count(b"HTTP/1.1 404 Not Found\r\n") == 1
    assert await answers(*[wire[i : i + 7] for i in range(0, len(wire), 7)]) == (whole, 3)


@pytest.mark.parametrize(
    ("request_", "kept"),
    [
        (get("/"), True),
        (get("/", "Connection: close"), False),
        (get("/", version="1.0"), False),
        (get("/", "Connection: keep-alive", version="1.0"), True),
    ],
)
async def test_keeps_the_connection_as_rfc_9112_says(request_: bytes, kept: bool):
    output, served = await answers(request_, get("/"))
    assert served == 1 + kept
    assert (b"Connection: keep-alive" in output) == kept


async def test_takes_a_body_by_its_length_and_goes_on():
    body = b"x" * 100_000
    head = f"PUT /digest HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    output, served = await answers(head + body[:10], body[10:] + get("/"))
    assert served == 2
    assert site.digest([body]).encode() in output


async def test_head_has_the_length_and_no_body():
    output, _ = await answers(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert f"Content-Length: {len(site.HOME)}\r\n".encode() in output
    assert output.endswith(b"\r\n\r\n")


async def test_continue_is_sent_when_expected():
    head = b"PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    output, _ = await answers(head, b"ab")
    assert output.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad field: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (get("/", "Content-Length: +1"), 400),
        (get("/", "Content-Length: 1", "Content-Length: 2"), 400),
        (get("/", "Transfer-Encoding: chunked"), 501),
        (get("/", "X: " + "y" * _http.HEAD_LIMIT), 431),
        (b"GET / HTTP/1.1\r\nHost", 400),
    ],
)
async def test_refuses_and_closes(wire: bytes, status: int):
    output, _ = await answers(wire)
    assert output.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in output
