"""asyncio with TCP on a usertcp stack: an event loop for programs that stay as they are.

    usertcp.asyncio.run(main())                          # in place of asyncio.run(main())
    uvicorn app:app --loop usertcp.asyncio:new_event_loop

with `USERTCP_LINK=packet:eth1 USERTCP_ADDRESS=10.7.0.2/24`, or `loop_factory(stack=...)`.
docs/recipes/asyncio.md tells which frameworks want what.
"""

from usertcp.asyncio._factories import (
    EventLoop,
    loop_factory,
    new_event_loop,
    run,
    socket_factory,
)
from usertcp.asyncio._server import Server
from usertcp.asyncio._socket import Socket
from usertcp.asyncio._transport import Transport

__all__ = [
    "EventLoop",
    "Server",
    "Socket",
    "Transport",
    "loop_factory",
    "new_event_loop",
    "run",
    "socket_factory",
]
