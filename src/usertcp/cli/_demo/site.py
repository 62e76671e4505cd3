"""What the demo's HTTP servers serve, on kernel TCP and on usertcp alike.

GET /: a page. GET /page/N: a small page of its own for every N. GET /body/SEED/BYTES: BYTES bytes
that SEED determines. PUT /digest: answers the SHA-256 of what came; PUT /count only how many bytes
(no hashing: for the clock).
"""

import hashlib
import random
import re
from functools import lru_cache

from usertcp.cli._http import CHUNK, Body, Request, Response

HOME = "Hello from TCP.\n"


def page(number: int) -> str:
    return f"This is page {number}.\n" * (1 + number % 7)


def pages(count: int) -> dict[str, str]:
    """The first `count` pages by path."""
    return {f"/page/{number}": page(number) for number in range(count)}


@lru_cache(maxsize=4)
def body(seed: int, size: int) -> tuple[bytes, ...]:
    """`size` bytes, the same for the same seed in every process, cut into pieces to send."""
    data = random.Random(seed).randbytes(size)
    return tuple(data[at : at + CHUNK] for at in range(0, size, CHUNK))


def digest(pieces: tuple[bytes, ...] | list[bytes]) -> str:
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


async def handle(request: Request, received: Body) -> Response:
    """The handler of `_http.serve_connection`."""
    if request.method == "PUT" and request.target in {"/digest", "/count"}:
        pieces = [piece async for piece in received]
        count = sum(map(len, pieces))
        answer = digest(pieces) if request.target == "/digest" else str(count)
        return Response(200, [answer.encode()])
    if request.method not in {"GET", "HEAD"}:
        return Response(405, fields={"Allow": "GET, HEAD, PUT"})
    if request.target == "/":
        return Response(200, [HOME.encode()])
    if match := re.fullmatch(r"/page/([0-9]{1,9})", request.target):
        return Response(200, [page(int(match[1])).encode()])
    if match := re.fullmatch(r"/body/([0-9]{1,9})/([0-9]{1,10})", request.target):
        pieces = list(body(int(match[1]), int(match[2])))
        return Response(200, pieces, content_type="application/octet-stream")
    return Response(404, [b"There is no such page.\n"])
