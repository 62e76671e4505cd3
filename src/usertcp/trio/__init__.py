"""trio's own sockets over a stack: `trio.open_tcp_stream` and the like run unchanged.

    async with usertcp.trio.open_stack("packet:v1", addresses=["10.7.0.2/24"]):
        await trio.serve_tcp(handler, 8080)

By trio's official hook, `trio.socket.set_custom_socket_factory`. See docs/recipes/trio.md.
"""

from usertcp.trio._factory import SocketFactory, open_stack
from usertcp.trio._socket import TCPSocket

__all__ = ["SocketFactory", "TCPSocket", "open_stack"]
