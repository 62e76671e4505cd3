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
    *(
        "werkzeug",
        "python-on-whales",
        "httptools>=0.8",
        "python-dotenv",
        "PyYAML",
        "watchfiles",
        "httpx",
        "httpx2",
        "h2",
    ),
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
    title: str
    version: str
    loops: str
    plugins: tuple[str, ...]
    """Those that make it ours."""
    arguments: tuple[str, ...]
    source: Source | None = None
    """They run in its directory."""
    network: str = "loopback"
    """What tools/foreign_network.py makes for our side: with `cable` the kernel is the peer."""
    shim: str = ""
    """What passed with the same redirection to the kernel's TCP (see docs/foreign.md)."""


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
        name="anyio-sockets",
        title="AnyIO: TCP streams and listeners",
        version="4.16.0",
        loops="asyncio, uvloop, eager tasks, trio",
        plugins=("foreign.anyio_plugin",),
        arguments=(
            "tests/test_sockets.py",
            "-k",
            "TestTCPStream or TestTCPListener",
            *ANYIO_PLUGINS,
        ),
        source=ANYIO,
        network="cable",
        shim="476",
    ),
    Suite(
        name="anyio-tls",
        title="AnyIO: TLS",
        version="4.16.0",
        loops="asyncio, uvloop, eager tasks, trio",
        plugins=("foreign.anyio_plugin",),
        arguments=("tests/streams/test_tls.py", *ANYIO_PLUGINS),
        source=ANYIO,
        network="cable",
        shim="all",
    ),
    Suite(
        name="trio-checks",
        title="trio.testing's checks of streams",
        version="0.35.0",
        loops="trio",
        plugins=("foreign.trio_runs_plugin",),
        arguments=(
            *("-c", "/dev/null", "--rootdir", ".", "--noconftest", "--timeout=60"),
            *("--pyargs", "foreign.trio_checks", "-p", "trio._tests.pytest_plugin"),
        ),
        shim="6",
    ),
    Suite(
        name="trio",
        title="trio: networking",
        version="0.35.0",
        loops="trio",
        plugins=("foreign.trio_plugin",),
        arguments=(
            *("--pyargs", *(f"trio._tests.test_{name}" for name in TRIO_FILES)),
            *("-p", "trio._tests.pytest_plugin", "--run-slow", "-o", "timeout=60"),
        ),
        shim="176",
    ),
    Suite(
        name="aiohttp",
        title="aiohttp: functional",
        version="3.14.5",
        loops="asyncio",
        plugins=("foreign.asyncio_plugin",),
        arguments=(
            *(f"tests/test_{name}.py" for name in AIOHTTP_FILES),
            *("-o", "addopts=", "-p", "pytest_mock", "-p", "pytest_codspeed", *PARALLEL),
        ),
        source=AIOHTTP,
        shim="755",
    ),
    Suite(
        name="uvicorn",
        title="uvicorn",
        version="0.54.0",
        loops="asyncio, uvloop",
        plugins=("foreign.asyncio_plugin",),
        arguments=(
            *("tests", "--ignore=tests/benchmarks", "-o", "addopts=", *PARALLEL),
            *("-p", "anyio", "-p", "pytest_mock", "--timeout=60"),
        ),
        source=Source("uvicorn==0.54.0"),
        shim="1,017",
    ),
    Suite(
        name="hypercorn",
        title="hypercorn",
        version="0.18.0",
        loops="asyncio, trio",
        plugins=("foreign.asyncio_plugin", "foreign.trio_runs_plugin"),
        arguments=(
            *("tests", "-o", "addopts=", "-p", "pytest_asyncio.plugin"),
            *("-p", "pytest_trio.plugin", "--timeout=60"),
        ),
        source=Source("hypercorn==0.18.0"),
        shim="26 of 28",
    ),
    Suite(
        name="websockets-asyncio",
        title="websockets: asyncio",
        version="17.0.1",
        loops="asyncio",
        plugins=("foreign.asyncio_plugin",),
        arguments=("tests/asyncio", "--timeout=60", *PARALLEL),
        source=WEBSOCKETS,
        shim="459 of 462",
    ),
    Suite(
        name="websockets-trio",
        title="websockets: trio",
        version="17.0.1",
        loops="trio",
        plugins=("foreign.trio_runs_plugin",),
        arguments=("tests/trio", "--timeout=60", *PARALLEL),
        source=WEBSOCKETS,
        shim="434",
    ),
)
