"""Packages whose sockets are their own, below Python: no loop and no factory reaches them."""

IN_RUST_OR_C = {
    "granian": "its server is written in Rust",
    "grpc": "grpcio's sockets are in C",
    "psycopg": "libpq opens the sockets",
    "psycopg2": "libpq opens the sockets",
    "pycurl": "libcurl opens the sockets",
    "curl_cffi": "libcurl opens the sockets",
    "rloop": "its event loop is written in Rust",
    "pymongo": "it uses blocking sockets in threads",
    "twisted": "its reactor owns the sockets",
}
SERVERS = frozenset(("granian",))
"""Refused as the program of `usertcp run`: nothing of them would run on the stack."""


def recipe(name: str) -> str:
    """Why it cannot work, and the command that does."""
    why = IN_RUST_OR_C[name]
    if name in SERVERS:
        way = "usertcp forward --listen stack:80 --to kernel:127.0.0.1:8000"
    else:
        way = "usertcp forward --listen kernel:127.0.0.1:PORT --to stack:HOST:PORT"
    return f"{name} cannot run on a stack ({why}); relay to it: `{way}`"
