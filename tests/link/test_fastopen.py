"""TCP Fast Open (RFC 7413) with the kernel at the other end.

the kernel === v0 ------ v1 === the stack
"""

import socket
import struct
import threading
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest

import usertcp
from support.netns import in_namespace, kernel_counts, veth
from usertcp.testing import EngineHarness
from usertcp.testing.packets import ACK, SYN, Options, Packet, Segment

KERNEL = {4: "10.7.0.1", 6: "fd07::1"}
OURS = {4: "10.7.0.2", 6: "fd07::2"}
KEY = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
ANSWER = bytes(range(256)) * 400
ROUNDS = 4
CLIENT, SERVER = 1, 2


def kernel_with(use: int) -> None:
    try:
        Path("/proc/sys/net/ipv4/tcp_fastopen").write_text(str(use))
        Path("/proc/sys/net/ipv4/tcp_fastopen_key").write_text(KEY)
    except OSError:
        pytest.skip("/proc/sys is read-only here")
    veth()


def limit(sock: socket.socket) -> None:
    """20 seconds for each call of one that blocks: a timeout of Python's makes it non-blocking."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", 20, 0))


def open_stack(link: str):
    addresses = [f"{OURS[4]}/24", f"{OURS[6]}/64"]
    return usertcp.open_stack(link, addresses=addresses, check_duplicates=False)


async def whole(stream: usertcp.TCPStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive()
    return data


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", ["packet:v1", "packet:v1?offload=0"], ids=["offload", "plain"])
@pytest.mark.rfc("7413-06", "7413-04")
@in_namespace
def test_the_kernel_serves(link: str, version: int):
    kernel_with(SERVER)
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def serve() -> None:
        for _ in range(ROUNDS):
            sock, _ = server.accept()
            with sock:
                sock.settimeout(20)
                data = b""
                while len(data) < len(REQUEST):
                    data += sock.recv(100)
                assert data == REQUEST
                sock.sendall(ANSWER)
                assert sock.recv(1) == b""

    async def main() -> list[usertcp.ConnectionInfo]:
        found = []
        async with open_stack(link) as stack:
            with anyio.fail_after(30):
                for _ in range(ROUNDS):
                    async with await stack.connect_tcp(
                        KERNEL[version], 8080, fast_open=True
                    ) as stream:
                        await stream.send(REQUEST)
                        assert await whole(stream, len(ANSWER)) == ANSWER
                        found.append(stream.statistics())
        return found

    with socket.socket(family) as server:
        server.bind((KERNEL[version], 8080))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        server.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        before = kernel_counts()
        infos = anyio.run(main)
        after = kernel_counts()
        thread.join(10)
        assert not thread.is_alive()
    assert [info.syn_data for info in infos] == [False] + [True] * (ROUNDS - 1)
    assert all(info.retransmits == 0 for info in infos)
    assert after["TCPFastOpenPassive"] - before["TCPFastOpenPassive"] == ROUNDS - 1
    assert after["TCPFastOpenCookieReqd"] - before["TCPFastOpenCookieReqd"] == 1


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("link", ["packet:v1", "packet:v1?offload=0"], ids=["offload", "plain"])
@pytest.mark.rfc("7413-06", "7413-03")
@in_namespace
def test_the_kernel_asks(link: str, version: int):
    """The server has a new key in the middle, and the cookie stays good."""
    kernel_with(CLIENT)
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def call(port: int, results: list[bytes]) -> None:
        for _ in range(ROUNDS):
            with socket.socket(family) as sock:
                limit(sock)
                sock.sendto(REQUEST, socket.MSG_FASTOPEN, (OURS[version], port))
                data = b""
                while part := sock.recv(65536):
                    data += part
                results.append(data)

    async def main() -> list[usertcp.ConnectionInfo]:
        found: list[usertcp.ConnectionInfo] = []
        async with (
            open_stack(link) as stack,
            await stack.create_tcp_listener(
                local_host=OURS[version], local_port=80, fast_open=16
            ) as multi,
        ):
            stack.set_fast_open_key(b"\xff" * 16)
            thread.start()
            with anyio.fail_after(30):
                for _ in range(ROUNDS):
                    async with await multi.listeners[0].accept() as stream:
                        assert await whole(stream, len(REQUEST)) == REQUEST
                        await stream.send(ANSWER)
                        await stream.send_eof()
                        found.append(stream.statistics())
                        assert [data async for data in stream] == []
                    stack.set_fast_open_key(bytes(16))
        return found

    answers: list[bytes] = []
    thread = threading.Thread(target=call, args=(80, answers), daemon=True)
    before = kernel_counts()
    infos = anyio.run(main)
    thread.join(10)
    after = kernel_counts()
    assert answers == [ANSWER] * ROUNDS
    assert [info.syn_data for info in infos] == [False] + [True] * (ROUNDS - 1)
    assert after["TCPFastOpenActive"] - before["TCPFastOpenActive"] == ROUNDS - 1
    assert after["TCPFastOpenActiveFail"] == before["TCPFastOpenActiveFail"]


def our_cookie(client: str, server: str) -> bytes | None:
    """What a listener of ours makes for this client under KEY."""
    engine = EngineHarness(f"{server}/{64 if ':' in server else 24}")
    key = b"".join(int(word, 16).to_bytes(4, "little") for word in KEY.split("-"))
    engine.raw.set_fast_open_key(key, engine.now)
    engine.listen(80).set_option("fast_open", 1)
    syn = Segment(sport=5000, dport=80, flags=SYN, options=Options(mss=1460, cookie=b""))
    packet = Packet(src=ip_address(client), dst=ip_address(server), body=syn)
    engine.inject(packet.encode())
    return engine.take()[0].packet.segment.options.cookie


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.rfc("7413-03")
@in_namespace
def test_one_key_for_both(version: int):
    """Kernels and stacks behind one name take each other's cookies: they are the same."""
    kernel_with(SERVER)
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    async def main() -> None:
        async with open_stack("packet:v1") as stack:
            with anyio.fail_after(20):
                async with await stack.connect_tcp(KERNEL[version], 8080, fast_open=True):
                    pass

    def kernels_cookie() -> bytes | None:
        kind, ip, protocol = (b"\x08\x00", 20, 9) if version == 4 else (b"\x86\xdd", 40, 6)
        while True:
            frame = tap.recv(2000)  # its checksum is the device's to complete
            packet, tcp = frame[14:], frame[14 + ip :]
            if frame[12:14] == kind and packet[protocol] == 6 and tcp[13] == SYN | ACK:
                return Options.decode(tcp[20 : tcp[12] // 16 * 4]).cookie

    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap,
        socket.socket(family) as server,
    ):
        tap.bind(("v0", 0))
        tap.settimeout(20)
        server.bind((KERNEL[version], 8080))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        server.listen()
        anyio.run(main)
        cookie = kernels_cookie()
    assert cookie is not None
    assert cookie == our_cookie(OURS[version], KERNEL[version])
