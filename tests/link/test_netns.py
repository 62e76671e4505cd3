"""netns.py: private networks that leave nothing behind."""

import asyncio
import ctypes
import importlib
import os
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from support.netns import drop_capabilities, in_namespace
from usertcp import netns

ENTER = "from usertcp import netns; netns.enter_private_namespace(); "


def devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def forked(work: Callable[[], str]) -> str:
    """What `work` says in a child."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            said = work()
        except BaseException:
            said = traceback.format_exc()
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


@in_namespace
def test_empty_but_for_loopback():
    assert devices() == {"lo"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def become_nobody() -> None:
    """As a program that nobody has started: no groups, no capabilities, and dumpable."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0  # PR_SET_DUMPABLE


def test_user_without_privilege():
    def work() -> str:
        if os.getuid() == 0:
            become_nobody()
        try:
            netns.enter_private_namespace()
        except PermissionError as error:
            return f"skip: {error}"
        with netns.private_network(), netns.second_namespace() as other:
            other.take("v1")
            return f"{os.getuid()} {os.getgid()} {sorted(devices())} {sorted(other.run(devices))}"

    importlib.import_module("pyroute2")  # nobody may be unable to read it
    said = forked(work)
    if said.startswith("skip"):
        pytest.skip("this machine forbids unprivileged user namespaces")
    assert said == "0 0 ['lo', 'v0'] ['lo', 'v1']"
    assert not devices() & {"v0", "v1"}


def test_refusal_says_what_mends_it():
    code = (
        "import ctypes; ctypes.CDLL(None).capset(b'\\x22\\x05\\x08\\x20' + bytes(4), bytes(24)); "
    )
    code += "from pathlib import Path; " + ENTER
    limit = Path("/proc/sys/user/max_user_namespaces")
    code = code.replace("netns.enter", "netns._unshare = lambda flags: 1; netns.enter", 1)
    said = run(code)
    assert "PermissionError" in said
    assert "cannot make a private network namespace" in said
    assert ("run as root" in said) == (limit.read_text().strip() != "0")


def test_threads_are_refused():
    code = "import threading, time; "
    code += "threading.Thread(target=time.sleep, args=[60], daemon=True).start(); "
    assert "a process with several threads" in run(code + ENTER)


@in_namespace
def test_private_network():
    with netns.private_network("k", "u", addresses=["10.9.0.1/24", "fd09::1/64"], mtu=1400):
        assert devices() == {"lo", "k", "u"}
        with socket.socket() as v4, socket.socket(socket.AF_INET6) as v6:
            v4.bind(("10.9.0.1", 0))
            v6.bind(("fd09::1", 0))
        lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
        assert not [line for line in lines if line.endswith(" u")]
    assert devices() == {"lo"}
    with pytest.raises(ZeroDivisionError), netns.private_network():
        raise ZeroDivisionError
    assert devices() == {"lo"}


@in_namespace
def test_second_namespace():
    with netns.second_namespace() as other:
        netns.veth_pair("v0", "v1")
        mac = netns.device_mac("v1")
        other.take("v1")
        assert devices() == {"lo", "v0"}
        assert other.run(devices) == {"lo", "v1"}
        assert other.run(netns.device_mac, "v1") == mac
        for where, ifname, address in ((None, "v0", "10.7.0.1/24"), (other, "v1", "10.7.0.2/24")):
            for call in ((netns.addr_add, ifname, address), (netns.link_up, ifname)):
                where.run(*call) if where else call[0](*call[1:])
        server = other.run(socket.create_server, ("10.7.0.2", 5000))
        with socket.create_connection(("10.7.0.2", 5000), timeout=5) as client:
            sock, _ = server.accept()
            sock.send(b"x")
            assert client.recv(1) == b"x"
            sock.close()
        server.close()
        code = "import socket; print([name for _, name in socket.if_nameindex()])"
        child = other.popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.communicate()[0].strip() == "['lo', 'v1']"
        with pytest.raises(ZeroDivisionError):
            other.run(lambda: 1 / 0)
        assert devices() == {"lo", "v0"}
    other.close()


@in_namespace
def test_inside_a_running_event_loop():
    async def main() -> None:
        with netns.private_network():
            assert "v1" in devices()

    asyncio.run(main())


@in_namespace
def test_offloads():
    netns.veth_pair("v0", "v1")
    netns.offloads("v0", tso=False, gso=False, gro=False, tx_csum=False, rx_csum=True)
    netns.offloads("v0", tso=True, tx_csum=True)
    with pytest.raises(ValueError, match="expected one of rx_csum"):
        netns.offloads("v0", speed=True)
    with pytest.raises(OSError, match="nope: cannot switch tso"):
        netns.offloads("nope", tso=True)


@in_namespace
def test_routes():
    with netns.private_network():
        netns.route_add("10.99.0.0/16", via="10.7.0.2")
        netns.route_add("10.98.0.0/16", device="v0")
        netns.route_add("default", via="10.7.0.2")
        routes = Path("/proc/thread-self/net/route").read_text()
        assert "0000630A\t0200070A" in routes
        assert "0000620A\t00000000" in routes
        assert "00000000\t0200070A" in routes


@in_namespace
def test_what_is_missing_is_named():
    for call in (netns.link_up, netns.link_delete, netns.quiet):
        with pytest.raises(OSError, match="no network device 'nope' here"):
            call("nope")
    drop_capabilities()
    with pytest.raises(Exception, match="Operation not permitted"):
        netns.veth_pair("v0", "v1")
