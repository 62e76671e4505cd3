"""Link URLs, and what is said when a link cannot be opened."""

import errno
import os
import re

import pytest
from anyio import ClosedResourceError

from support.netns import drop_capabilities, in_namespace, veth
from usertcp import links, netns
from usertcp.links import LinkSpec, open_link, parse_link


@pytest.mark.parametrize(
    ("url", "spec"),
    [
        ("packet:v1", LinkSpec("packet", "v1")),
        ("packet:eth0.5", LinkSpec("packet", "eth0.5")),
        (
            "packet:v1?mtu=1400&offload=0&mac=02:00:00:00:00:0A&buffer=8M",
            LinkSpec(
                "packet",
                "v1",
                {"mtu": 1400, "offload": False, "mac": "02:00:00:00:00:0a", "buffer": 8 << 20},
            ),
        ),
        ("tun:", LinkSpec("tun")),
        ("tun:utun0?queues=1", LinkSpec("tun", "utun0", {"queues": 1})),
        ("raw:", LinkSpec("raw")),
        ("raw:?ports=61000-61999", LinkSpec("raw", "", {"ports": (61000, 61999)})),
        ("memory:a%20b?ethernet=yes", LinkSpec("memory", "a b", {"ethernet": True})),
        ("memory:x?buffer=64k", LinkSpec("memory", "x", {"buffer": 65536})),
    ],
)
def test_parsed(url: str, spec: LinkSpec):
    assert parse_link(url) == spec


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no kind of link"),
        ("v1", "no kind of link"),
        ("eth:v1", "unknown kind 'eth'"),
        ("packet:", "name after packet: is missing"),
        ("memory:?mtu=1", "name after memory: is missing"),
        ("raw:eth0", "raw: has no name"),
        ("packet:v1?", None),
        ("packet:v1?mtu", "expected NAME=VALUE"),
        ("packet:v1?speed=9", "packet: has no option 'speed'; it has mtu, offload, mac, buffer"),
        ("packet:v1?ports=1-2", "packet: has no option 'ports'"),
        ("packet:v1?mtu=1&mtu=2", "given twice"),
        ("packet:v1?mtu=big", "mtu='big': expected a number"),
        ("packet:v1?mtu=-5", "mtu='-5'"),
        ("packet:v1?offload=maybe", "offload='maybe': expected 0 or 1"),
        ("packet:v1?mac=02:00", "mac='02:00': expected the address"),
        ("packet:v1?mac=01:00:00:00:00:02", "expected the address of one station"),
        ("packet:v1?buffer=8G", "buffer='8G'"),
        ("raw:?ports=5", "ports='5': expected first and last"),
        ("raw:?ports=9-5", "ports='9-5'"),
        ("raw:?ports=0-5", "ports='0-5'"),
        ("raw:?ports=5-65536", "ports='5-65536'"),
    ],
)
def test_bad_url_names_the_part(url: str, says: str | None):
    if says is None:
        parse_link(url)
        return
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_link(url)
    with pytest.raises(ValueError, match=r"^link "):
        open_link(url)


def test_out_of_range():
    with pytest.raises(ValueError, match="mtu=99999999999: out of range"):
        open_link("memory:x?mtu=99999999999")
    with pytest.raises(ValueError, match="an option is out of range"):
        open_link("memory:x?mtu=12")
    with pytest.raises(ValueError, match="unknown kind of link 'x'"):
        open_link(LinkSpec("x"))


def test_memory_names_join_in_pairs():
    with open_link("memory:test_urls") as a:
        with pytest.raises(ValueError, match="other values of `ethernet` or `offload`"):
            open_link("memory:test_urls?ethernet=1")
        with open_link(a) as same, open_link("memory:test_urls") as b:
            assert same is a
            assert (a.name, b.name) == ("test_urls", "test_urls")
            with pytest.raises(OSError, match="two ends already") as caught:
                open_link("memory:test_urls")
            assert caught.value.errno == errno.EADDRINUSE
            with pytest.raises(ValueError, match="not yet joined"):
                a.join(b)


def test_link_that_is_closed_or_taken():
    a, b = links.memory_pair(mtu=1300)
    assert a.info().mtu == 1300
    assert a.ports is None
    assert repr(a) == "<Link memory:memory>"
    pointer = a.release()
    with pytest.raises(ClosedResourceError):
        a.release()
    a.close()
    a.close()
    assert repr(a) == "<Link memory:memory (closed or taken)>"
    a._pointer = pointer
    a.close()
    b.close()
    for call in (b.info, b.release, lambda: b.capture("x"), lambda: b.capture(None)):
        with pytest.raises(ClosedResourceError):
            call()


def test_capture(tmp_path):
    a, b = links.memory_pair()
    with a, b:
        a.capture(tmp_path / "x.pcapng")
        a.capture(None)
        assert (tmp_path / "x.pcapng").stat().st_size > 100
        with pytest.raises(FileNotFoundError, match="capture to"):
            a.capture(str(tmp_path / "no" / "where"))


@in_namespace
def test_missing_device_and_device_down():
    with pytest.raises(OSError, match=r"no network device 'v1' here.*ip link add v1") as caught:
        open_link("packet:v1")
    assert caught.value.errno == errno.ENODEV
    netns.veth_pair("v0", "v1")
    with pytest.raises(OSError, match="ip link set v1 up") as caught:
        open_link("packet:v1")
    assert caught.value.errno == errno.ENETDOWN
    with pytest.raises(OSError, match="not an Ethernet device"):
        open_link("packet:lo")
    with pytest.raises(ValueError, match="1 to 15 bytes"):
        open_link("packet:a-name-that-is-too-long")


@in_namespace
def test_packet_link_by_url():
    veth(mtu=9000)
    with open_link("packet:v1?mtu=1500&mac=02:00:00:00:00:02") as link:
        info = link.info()
        assert (link.name, info.mtu, info.mac) == ("v1", 1500, "02:00:00:00:00:02")
    with pytest.raises(ValueError, match="larger than the device's"):
        open_link("packet:v1?mtu=9001")


@in_namespace
def test_missing_privilege_says_what_is_needed():
    veth()
    drop_capabilities()
    with pytest.raises(PermissionError, match=r"CAP_NET_RAW.*unshare -Urn"):
        open_link("packet:v1")
    if os.access("/dev/net/tun", os.R_OK | os.W_OK):
        with pytest.raises(PermissionError, match=r"CAP_NET_ADMIN.*ip tuntap add dev utun9"):
            open_link("tun:utun9")
    else:
        with pytest.raises(OSError, match="/dev/net/tun"):
            open_link("tun:utun9")
