"""The foreign test suites: where they come from and how they are run. Without pytest."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REQUIRES = (
    *("anyio==4.16.0", "trio==0.35.0", "aiohttp==3.14.5", "uvicorn==0.54.0", "hypercorn==0.18.0"),
    "websockets==17.0.1",
    # usertcp's own
    *("uvloop>=0.22.1", "cffi>=2.0", "click>=8.1", "rich>=13", "pyroute2>=0.7.12"),
    # what the suites ask for
    *("pytest>=9", "pytest-mock>=3.14", "pytest-timeout>=2.4", "pytest-xdist>=3.8", "pytest-cov"),
    *("pytest-asyncio>=1.5", "pytest-trio>=0.8", "pytest-codspeed>=4.1.1", "psutil>=5.9"),
    *("trustme>=1.0", "truststore>=0.9.1", "pyopenssl>=24", "blockbuster>=1.5.29", "freezegun"),
    *("proxy.py>=2.4.4rc5", "isal; python_version<'3.14'", "zlib-ng", "Brotli"),
    *("python-on-whales", "httptools>=0.8", "python-dotenv", "PyYAML", "watchfiles", "httpx", "httpx2", "h2"),
    *("a2wsgi==1.10.10", "wsproto==1.3.2", "starlette"),
)


@dataclass(frozen=True)
class Source:
    """A source distribution NAME==VERSION on PyPI, or REPOSITORY@COMMIT where that has no tests."""

    name: str
    leave_out: str = ""
    """The package's directory, where it would hide what is installed."""

    @property
    def directory(self) -> str:
        return self.name.rpartition("/")[2].replace("==", "-").replace("@", "-")


@dataclass(frozen=True)
class Suite:
    name: str
    plugins: tuple[str, ...]
    """Those that make it ours."""
    arguments: tuple[str, ...]
    source: Source | None = None
    """They run in its directory."""
    network: str = "loopback"
    """What tools/foreign_network.py makes for our side: with `tun` the kernel is the peer."""
    shim: str = ""
    """What passed, of how many, with a thin layer before the kernel's TCP (see testing.md)."""


ANYIO = Source("anyio==4.16.0")
AIOHTTP = Source("aiohttp==3.14.5", leave_out="aiohttp")
WEBSOCKETS = Source(
    "https://github.com/python-websockets/websockets@fd3f16cc4f57ace08e323a7806f1432e957cb75e"
)
ANYIO_PLUGINS = ("-o", "timeout=30", "-o", "addopts=", "-p", "pytest_mock", "-p", "anyio")
PARALLEL = ("-p", "xdist", "-n", "4")
TRIO_FILES = """
    highlevel_socket highlevel_open_tcp_stream highlevel_open_tcp_listeners highlevel_ssl_helpers
    highlevel_serve_listeners highlevel_generic socket ssl fakenet testing
""".split()
AIOHTTP_FILES = """
    web_functional client_functional web_websocket_functional client_ws_functional
    web_sendfile_functional
""".split()

SUITES = (
    Suite(
        "anyio-sockets",
        ("foreign.anyio_plugin",),
        ("tests/test_sockets.py", "-k", "TestTCPStream or TestTCPListener", *ANYIO_PLUGINS),
        ANYIO,
        network="tun",
        shim="476/476",
    ),
    Suite(
        "anyio-tls",
        ("foreign.anyio_plugin",),
        ("tests/streams/test_tls.py", *ANYIO_PLUGINS),
        ANYIO,
        network="tun",
        shim="all",
    ),
    Suite(
        "trio-checks",
        ("foreign.trio_runs_plugin",),
        (
            *("-c", "/dev/null", "--rootdir", ".", "--noconftest", "--timeout=60"),
            *("--pyargs", "foreign.trio_checks", "-p", "trio._tests.pytest_plugin"),
        ),
        shim="6/6",
    ),
    Suite(
        "trio",
        ("foreign.trio_plugin",),
        (
            *("--pyargs", *(f"trio._tests.test_{name}" for name in TRIO_FILES)),
            *("-p", "trio._tests.pytest_plugin", "--run-slow", "-o", "timeout=60"),
        ),
        shim="176/183",
    ),
    Suite(
        "aiohttp",
        ("foreign.asyncio_plugin",),
        (
            *(f"tests/test_{name}.py" for name in AIOHTTP_FILES),
            *("-o", "addopts=", "-p", "pytest_mock", "-p", "pytest_codspeed", *PARALLEL),
        ),
        AIOHTTP,
        shim="755/755",
    ),
    Suite(
        "uvicorn",
        ("foreign.asyncio_plugin",),
        (
            *("tests", "--ignore=tests/benchmarks", "-o", "addopts=", *PARALLEL),
            *("-p", "anyio", "-p", "pytest_mock", "--timeout=60"),
        ),
        Source("uvicorn==0.54.0"),
        shim="1017/1017",
    ),
    Suite(
        "hypercorn",
        ("foreign.asyncio_plugin", "foreign.trio_runs_plugin"),
        (
            *("tests", "-o", "addopts=", "-p", "pytest_asyncio.plugin"),
            *("-p", "pytest_trio.plugin", "--timeout=60"),
        ),
        Source("hypercorn==0.18.0"),
        shim="26/26",
    ),
    Suite(
        "websockets-asyncio",
        ("foreign.asyncio_plugin",),
        ("tests/asyncio", "--timeout=60", *PARALLEL),
        WEBSOCKETS,
        shim="459/462",
    ),
    Suite(
        "websockets-trio",
        ("foreign.trio_runs_plugin",),
        ("tests/trio", "--timeout=60", *PARALLEL),
        WEBSOCKETS,
        shim="434/434",
    ),
)
