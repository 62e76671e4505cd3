"""hypercorn started by a program of one's own, changed in one line for the stack."""

import sys

import trio
from asgi_app import app
from hypercorn.config import Config

import usertcp.asyncio
import usertcp.trio

backend, bind, link, address = sys.argv[1:]
config = Config()
config.bind = [bind]

if backend == "asyncio":
    from hypercorn.asyncio import serve

    usertcp.asyncio.run(serve(app, config), bypass="adopt")  # asyncio.run(serve(app, config))
else:
    from hypercorn.trio import serve

    async def main() -> None:
        async with usertcp.trio.open_stack(link, addresses=[address], bypass="adopt"):
            await serve(app, config)

    trio.run(main)  # trio.run(serve, app, config)
