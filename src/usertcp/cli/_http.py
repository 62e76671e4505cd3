"""HTTP/1.1 over any AnyIO byte stream: the server and the client the demo runs.

Small on purpose, but the subset is kept strictly (RFC 9110, RFC 9112): persistent connections and
pipelining, bodies framed by Content-Length, HEAD, `Expect: 100-continue`, Connection: close. What
the subset lacks is refused with the proper status (a transfer coding is 501), never guessed at.
Knows nothing of usertcp: the same code serves kernel TCP, which is what makes the comparison fair.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteReceiveStream, ByteStream

HEAD_LIMIT = 32 * 1024
"""Bytes a request or status line and its fields may take together."""

CHUNK = 256 * 1024
"""Bytes asked for, and handed over, at once."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ?([^\r\n]*)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
}


class HttpError(Exception):
    """The peer's message cannot be accepted; `status` is what a server answers."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    minor: int
    fields: Mapping[str, str]
    """Field names in lower case."""
    length: int
    """Bytes of the body."""

    @property
    def persistent(self) -> bool:
        """RFC 9112 9.3: 1.1 unless told otherwise, 1.0 only when asked for."""
        options = {o.strip() for o in self.fields.get("connection", "").lower().split(",")}
        return "keep-alive" in options if self.minor == 0 else "close" not in options


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: Sequence[bytes] = ()
    content_type: str = "text/plain; charset=utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)


Body = AsyncIterator[bytes]
Handler = Callable[[Request, Body], Awaitable[Response]]


class Reader:
    """Cuts messages out of a byte stream."""

    __slots__ = ("_buffer", "_stream")

    def __init__(self, stream: ByteReceiveStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def head(self) -> list[bytes] | None:
        """The lines of the next head without the empty one; None when the peer is done."""
        while True:
            # RFC 9112 2.2: empty lines before a message are let pass.
            if self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]
                continue
            end = self._buffer.find(b"\r\n\r\n")
            if end > HEAD_LIMIT or (end < 0 and len(self._buffer) > HEAD_LIMIT):
                raise HttpError(431, f"head over {HEAD_LIMIT} bytes")
            if end >= 0:
                lines = self._buffer[:end].split(b"\r\n")
                self._buffer = self._buffer[end + 4 :]
                return lines
            try:
                self._buffer += await self._stream.receive(CHUNK)
            except anyio.EndOfStream:
                if self._buffer:
                    raise HttpError(400, "the stream ended inside a head") from None
                return None

    async def body(self, length: int) -> Body:
        """Exactly `length` bytes, in the pieces they came in."""
        while length:
            piece = self._buffer or await self._stream.receive(min(length, CHUNK))
            self._buffer = piece[length:]
            if self._buffer:
                piece = piece[:length]
            length -= len(piece)
            yield piece


def _parse_fields(lines: Sequence[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HttpError(400, "malformed field line")
        name, value = match[1].decode().lower(), match[2].decode("latin-1")
        if name in fields and name in {"content-length", "host"} and fields[name] != value:
            raise HttpError(400, f"conflicting {name} fields")
        # RFC 9110 5.3: other repeated fields are one list; a repeated equal length is one length.
        repeated = name in fields and name not in {"content-length", "host"}
        fields[name] = f"{fields[name]}, {value}" if repeated else value
    return fields


def _body_length(fields: Mapping[str, str]) -> int:
    if "transfer-encoding" in fields:
        raise HttpError(501, "transfer codings are not implemented")
    text = fields.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise HttpError(400, "malformed content-length")
    return int(text)


def _parse_request(lines: Sequence[bytes]) -> Request:
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise HttpError(400, "malformed request line")
    fields = _parse_fields(lines[1:])
    minor = int(match[3])
    if minor == 1 and "host" not in fields:
        raise HttpError(400, "HTTP/1.1 without host")
    return Request(match[1].decode(), match[2].decode(), minor, fields, _body_length(fields))


async def _send_response(
    stream: ByteStream, response: Response, *, persistent: bool, with_body: bool = True
) -> None:
    length = sum(map(len, response.body))
    lines = [
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in response.fields.items()),
        f"Connection: {'keep-alive' if persistent else 'close'}",
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    pieces = response.body if with_body else ()
    if length <= CHUNK:
        await stream.send(head + b"".join(pieces))
        return
    await stream.send(head)
    for piece in pieces:
        await stream.send(piece)


async def _answer(stream: ByteStream, reader: Reader, handler: Handler, request: Request) -> bool:
    if request.minor == 1 and request.fields.get("expect", "").lower() == "100-continue":
        await stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.body(request.length)
    response = await handler(request, body)
    # What the handler left unread must go by before the next request can be found.
    async for _ in body:
        pass
    persistent = request.persistent
    await _send_response(
        stream, response, persistent=persistent, with_body=request.method != "HEAD"
    )
    return persistent


async def serve_connection(stream: ByteStream, handler: Handler) -> int:
    """Answers requests until either side wants to stop. Returns how many; does not close."""
    reader = Reader(stream)
    served = 0
    try:
        while (lines := await reader.head()) is not None:
            served += 1
            if not await _answer(stream, reader, handler, _parse_request(lines)):
                break
    except HttpError as error:
        # The framing is lost, so this connection ends with the answer.
        refusal = Response(error.status, [f"{error}\n".encode()])
        await _send_response(stream, refusal, persistent=False)
    return served


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    fields: Mapping[str, str]
    body: list[bytes]
    """The pieces as they arrived: joining or hashing is left to the caller's clock."""

    @property
    def text(self) -> str:
        return b"".join(self.body).decode()


class Client:
    """Requests over one connection, one after the other."""

    def __init__(self, stream: ByteStream, host: str) -> None:
        self._stream = stream
        self._reader = Reader(stream)
        self._host = f"[{host}]" if ":" in host else host

    async def request(
        self, method: str, target: str, body: Sequence[bytes] = (), *, close: bool = False
    ) -> Reply:
        """Sends one request and reads the whole reply."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        if body:
            lines.append(f"Content-Length: {sum(map(len, body))}")
        lines.append(f"Connection: {'close' if close else 'keep-alive'}")
        await self._stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        for piece in body:
            await self._stream.send(piece)
        head = await self._reader.head()
        if head is None:
            raise HttpError(400, "the server closed without a reply")
        match = _STATUS_LINE.fullmatch(head[0])
        if match is None:
            raise HttpError(400, "malformed status line")
        fields = _parse_fields(head[1:])
        length = 0 if method == "HEAD" else _body_length(fields)
        pieces = [piece async for piece in self._reader.body(length)]
        return Reply(int(match[2]), fields, pieces)
