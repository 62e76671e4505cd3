"""Packages by name: whose sockets are their own, below Python, and who starts workers.

No loop and no factory reaches the former.
"""

from collections.abc import Mapping, Sequence

IN_RUST_OR_C = {
    "granian": "its server is written in Rust",
    "robyn": "its server is written in Rust",
    "rloop": "its event loop is written in Rust",
    "grpc": "grpcio's sockets are in C",
    "psycopg": "libpq opens the sockets",
    "psycopg2": "libpq opens the sockets",
    "MySQLdb": "libmysqlclient opens the sockets",
    "pycurl": "libcurl opens the sockets",
    "curl_cffi": "libcurl opens the sockets",
    "confluent_kafka": "librdkafka opens the sockets",
    "zmq": "libzmq opens the sockets",
    "pymongo": "its MongoClient uses blocking sockets in threads",
    "gevent": "its event loop is written in C",
    "twisted": "its reactor owns the sockets",
}
SERVERS = {"granian": "granian", "robyn": "robyn", "daphne": "twisted", "twistd": "twisted"}
"""Refused as the program of `usertcp run`, with what they stand on: nothing would use the stack."""


def recipe(name: str) -> str:
    """Why it cannot work, and the command that does."""
    why = IN_RUST_OR_C[SERVERS.get(name, name)]
    if name in SERVERS:
        way = "usertcp forward --listen stack:80 --to kernel:127.0.0.1:8000"
    else:
        way = "usertcp forward --listen kernel:127.0.0.1:PORT --to stack:HOST:PORT"
    return f"{name} cannot run on a stack ({why}); relay to it: `{way}`"


_WORKERS = {
    "uvicorn": ("--workers",),
    "hypercorn": ("--workers", "-w"),
    "gunicorn": ("--workers", "-w"),
    "fastapi": ("--workers",),
}
_BY_ENVIRONMENT = frozenset(("uvicorn", "gunicorn", "fastapi"))


def workers_of(package: str, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """How many processes a known server's command line asks for; 0 when it does not say."""
    number = environ.get("WEB_CONCURRENCY", "") if package in _BY_ENVIRONMENT else ""
    for option in _WORKERS.get(package, ()):
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word == option:
                number = following
            elif word.startswith(f"{option}=" if option.startswith("--") else option):
                number = word.removeprefix(option).removeprefix("=")
    return int(number) if number.isascii() and number.isdigit() else 0
