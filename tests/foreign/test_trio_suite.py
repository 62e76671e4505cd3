"""trio's own networking tests, which come with trio, over our sockets (see trio_plugin)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from support.csource import ROOT

# Tests that ask for trio's own class or for a kernel descriptor, with the reason.
INAPPLICABLE = {
    "test_highlevel_socket": {},
    "test_highlevel_open_tcp_stream": {},
    "test_highlevel_open_tcp_listeners": {},
    "test_highlevel_serve_listeners": {},
    "test_highlevel_ssl_helpers": {},
    "test_socket": {
        "test_SocketType_basics": "makes a descriptor inheritable and detaches it",
        "test_SocketType_dup": "duplicates a descriptor",
        "test_SocketType_resolve[2-addrs0]": "a private method of trio's class",
        "test_SocketType_resolve[10-addrs1]": "a private method of trio's class",
        "test_SocketType_connect_paths": "puts a kernel socket inside",
        "test_resolve_address_exception_in_connect_closes_socket": "patches trio's class",
        "test_custom_socket_factory": "expects that there is no factory yet",
    },
}
# With trio 0.35: how many pass on kernel sockets too, but for the inapplicable ones.
PASSED = {
    "test_highlevel_socket": 7,
    "test_highlevel_open_tcp_stream": 23,
    "test_highlevel_open_tcp_listeners": 19,
    "test_highlevel_serve_listeners": 4,
    "test_highlevel_ssl_helpers": 3,
    "test_socket": 26,
}
NO_SOCKETS = {"test_highlevel_serve_listeners"}


@pytest.mark.parametrize("name", INAPPLICABLE)
def test_trios_tests(name: str, tmp_path: Path):
    if name == "test_highlevel_ssl_helpers":
        pytest.importorskip("trustme", reason="trustme is not installed")
        pytest.importorskip("OpenSSL", reason="pyOpenSSL is not installed")
    plugins = ["-p", "trio._tests.pytest_plugin", "-p", "foreign.trio_plugin"]
    paths = os.pathsep.join([str(ROOT / "tests"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--pyargs", f"trio._tests.{name}", *plugins,
         "--run-slow", "--tb=short", "-rf", "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    failed = set(re.findall(r"^FAILED \S*?::(\S+)", done.stdout, re.MULTILINE))
    assert failed == set(INAPPLICABLE[name]), done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout + done.stderr
    if trio.__version__.startswith("0.35."):
        assert int(passed[1]) == PASSED[name]
    made = re.search(r"usertcp: (\d+) accepted, (\d+) listeners", done.stdout)
    assert made
    assert (int(made[1]) + int(made[2]) > 0) == (name not in NO_SOCKETS), (
        "the sockets were not ours"
    )
