"""The policy for kernel TCP sockets in a program whose TCP is a stack's.

adopt   the kernel's socket is a ticket: a socket on the stack does its work
kernel  it is used as it is, past the stack; told once, and counted
error   refused (the default)
"""

import os
from typing import Literal, TypeAlias, cast

Policy: TypeAlias = Literal["adopt", "kernel", "error"]
BYPASS = "USERTCP_BYPASS"
_POLICIES = ("adopt", "kernel", "error")


def parse_policy(text: str, where: str) -> Policy:
    """`ValueError` naming `where` for what is none of the three."""
    if text not in _POLICIES:
        raise ValueError(f"{where}: {text!r} is none of {', '.join(_POLICIES)}")
    return cast("Policy", text)


def policy(given: Policy | None) -> Policy:
    """As given, or as `USERTCP_BYPASS` says, or `error`."""
    if given is not None:
        return parse_policy(given, "bypass")
    return parse_policy(os.environ.get(BYPASS, "error"), BYPASS)
