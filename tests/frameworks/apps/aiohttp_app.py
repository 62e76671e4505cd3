"""An aiohttp program as people write them: pages, uploads, a WebSocket, static files."""

import hashlib
import socket
import sys
from pathlib import Path

from aiohttp import WSMsgType, web


async def item(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    return web.json_response({"number": number, "text": "x" * number})


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"got": await request.json()})


async def upload(request: web.Request) -> web.Response:
    digest, size = hashlib.sha256(), 0
    async for part in request.content.iter_any():
        digest.update(part)
        size += len(part)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(100):
        await response.write(bytes([number]) * 10_000)
    return response


async def websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data[::-1])
    return socket


app = web.Application(client_max_size=1 << 31)
app.add_routes(
    [
        web.get("/items/{number}", item),
        web.post("/echo", echo),
        web.put("/upload", upload),
        web.get("/stream", stream),
        web.get("/ws", websocket),
        web.static("/static", Path(__file__).parent),
    ]
)

if __name__ == "__main__":
    if sys.argv[1] == "a-socket":  # of the kernel's, which it brings along
        web.run_app(app, sock=socket.create_server(("0.0.0.0", int(sys.argv[2]))), print=None)
    else:
        web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None)
