"""usertcp: TCP inside your Python process.

    async with usertcp.open_stack("packet:v1", addresses=["10.7.0.2/24"]) as stack:
        stream = await stack.connect_tcp("10.7.0.1", 80)    # AnyIO's signature, an AnyIO ByteStream

Everything works on asyncio, uvloop and trio. See `open_stack`.
"""

import logging

from usertcp._ambient import connect_tcp, create_tcp_listener
from usertcp._config import StackConfig
from usertcp._congestion import congestion_controls
from usertcp._congestion_control import (
    CongestionControl,
    CongestionDecision,
    CongestionEvent,
    CongestionReport,
)
from usertcp._faces import StreamAttribute
from usertcp._info import ConnectionInfo, LinkInfo, StackStatistics, State, Transition
from usertcp._install import install, uninstall
from usertcp._open import current_stack, open_stack
from usertcp.connectors import TCPConnectable
from usertcp.listeners import TCPListener
from usertcp.stacks import Stack
from usertcp.streams import StreamOption, TCPStream

__all__ = [
    "CongestionControl",
    "CongestionDecision",
    "CongestionEvent",
    "CongestionReport",
    "ConnectionInfo",
    "LinkInfo",
    "Stack",
    "StackConfig",
    "StackStatistics",
    "State",
    "StreamAttribute",
    "StreamOption",
    "TCPConnectable",
    "TCPListener",
    "TCPStream",
    "Transition",
    "congestion_controls",
    "connect_tcp",
    "create_tcp_listener",
    "current_stack",
    "install",
    "open_stack",
    "uninstall",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
