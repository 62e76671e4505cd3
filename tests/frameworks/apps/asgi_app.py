"""A FastAPI program as people write them: it knows nothing of usertcp."""

import hashlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, object]:
    return {"number": number, "text": "x" * number}


@app.post("/echo")
async def echo(request: Request) -> dict[str, object]:
    return {"got": await request.json()}


@app.put("/upload")
async def upload(request: Request) -> dict[str, object]:
    digest, size = hashlib.sha256(), 0
    async for part in request.stream():
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * 10_000

    return StreamingResponse(parts(), media_type="application/octet-stream")


@app.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text((await socket.receive_text())[::-1])
    except WebSocketDisconnect:
        pass
