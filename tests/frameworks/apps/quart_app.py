"""Quart, and with it quart-trio: what asgi_app.py answers, in another framework's words."""

import hashlib
from collections.abc import AsyncIterator

from quart import Quart, request, websocket


def made_by(framework: type[Quart]) -> Quart:
    made = framework(__name__)
    made.config["MAX_CONTENT_LENGTH"] = 1 << 31
    made.config["BODY_TIMEOUT"] = None

    @made.get("/items/<int:number>")
    async def item(number: int) -> dict[str, object]:
        return {"number": number, "text": "x" * number}

    @made.post("/echo")
    async def echo() -> dict[str, object]:
        return {"got": await request.get_json()}

    @made.put("/upload")
    async def upload() -> dict[str, object]:
        digest, size = hashlib.sha256(), 0
        async for part in request.body:
            digest.update(part)
            size += len(part)
        return {"size": size, "sha256": digest.hexdigest()}

    @made.get("/stream")
    async def stream() -> tuple[AsyncIterator[bytes], dict[str, str]]:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(100):
                yield bytes([number]) * 10_000

        return parts(), {"content-type": "application/octet-stream"}

    @made.websocket("/ws")
    async def turn_round() -> None:
        while True:
            await websocket.send((await websocket.receive())[::-1])

    return made


def app() -> Quart:
    return made_by(Quart)


def on_trio() -> Quart:
    from quart_trio import QuartTrio

    return made_by(QuartTrio)
