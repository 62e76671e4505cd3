"""Many requests at once and big bodies, by programs made for that; the capture has no complaint."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from frameworks.kernel_side import found
from frameworks.serving import HOST, PORT, ask, serving
from support.netns import in_namespace, veth

UVICORN = ("-m", "uvicorn", "asgi_app:app", "--host", "0.0.0.0", "--port", str(PORT))
HYPERCORN = ("-m", "hypercorn", "asgi_app:app", "-w", "0", "--bind", f"0.0.0.0:{PORT}")
UPLOAD = int(os.environ.get("UPLOAD_SIZE", "1073741824"))
URL = f"http://{HOST}:{PORT}"


def output_of(*command: str, limit: int = 100) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@in_namespace
def test_wrk():
    pytest.importorskip("fastapi")
    wrk = found("wrk")
    veth()
    with serving(*UVICORN, "--log-level", "warning"):
        said = output_of(wrk, "-t", "2", "-c", "64", "-d", "2", f"{URL}/items/100")
    (requests,) = map(int, re.findall(r"(\d+) requests in", said))
    assert requests > 100
    assert "Socket errors" not in said
    assert "Non-2xx" not in said


@pytest.mark.parametrize("streams", ["1", "20"])
@in_namespace
def test_h2load(streams: str):
    """HTTP/2 in clear text: each connection carries many requests at once."""
    for module in ("fastapi", "hypercorn"):
        pytest.importorskip(module)
    h2load = found("h2load")
    veth()
    with serving(*HYPERCORN):
        words = ("-n", "1000", "-c", "10", "-m", streams)
        said = output_of(h2load, *words, f"{URL}/items/1000")
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in said


@pytest.mark.slow
@in_namespace
def test_a_big_upload_by_curl(tmp_path: Path):
    """UPLOAD_SIZE bytes (1 GiB) into an ASGI program: every one arrives."""
    pytest.importorskip("fastapi")
    veth()
    body = tmp_path / "body"
    block = os.urandom(1 << 20)
    digest = hashlib.sha256()
    try:
        with body.open("wb") as file:
            for number in range(UPLOAD >> 20):
                part = number.to_bytes(4, "big") + block[4:]
                file.write(part)
                digest.update(part)
        with serving(*UVICORN, "--log-level", "warning"):
            answer = ask("/upload", "--upload-file", str(body))
    finally:
        body.unlink()
    assert answer == {"size": UPLOAD, "sha256": digest.hexdigest()}


def by_curl(place: Path) -> None:
    body = place / "body"
    body.write_bytes(bytes(8 << 20))
    for _ in range(20):
        ask("/items/3000")
    ask("/upload", "--upload-file", str(body))


def by_wrk(_place: Path) -> None:
    output_of(found("wrk"), "-t", "2", "-c", "16", "-d", "1", f"{URL}/items/3000")


def by_h2load(_place: Path) -> None:
    output_of(found("h2load"), "-n", "500", "-c", "5", "-m", "10", f"{URL}/items/3000")


LOADS = {
    "curl": (by_curl, (*UVICORN, "--log-level", "warning")),
    "wrk": (by_wrk, (*UVICORN, "--log-level", "warning")),
    "h2load": (by_h2load, HYPERCORN),
}


TRIES = 5


@pytest.mark.parametrize("load", LOADS)
@in_namespace
def test_tshark_has_no_complaint(tmp_path: Path, load: str):
    """Its own state machine sees nothing malformed, and no segment sent again without a reason.

    The cable loses nothing. What is left has to do with processors, and is rare in one of a few
    goes: probes for a lost tail, which come after two round trips of microseconds when a busy
    machine keeps the other end from answering; and segments that overtake each other, as veth has a
    queue for each processor and the kernel's sender changes between them.
    """
    for module in ("fastapi", "uvicorn", "hypercorn"):
        pytest.importorskip(module)
    tshark = found("tshark")
    veth()
    capture = tmp_path / "it.pcapng"
    send, command = LOADS[load]
    tries = []
    for _ in range(TRIES):
        with serving("--pcap", str(capture), *command):
            send(tmp_path)
        told = experts(tshark, capture)
        assert [said for said in told if not said.usual] == []
        frames = len(output_of(tshark, "-r", str(capture), "-Y", "tcp").splitlines())
        tries.append((frames, [said for said in told if said.machine]))
        if len(tries[-1][1]) <= frames // 100 or "ASAN_OPTIONS" in os.environ:
            return
    raise AssertionError(tries)


class Said(NamedTuple):
    """A message of tshark's about a frame."""

    frame: int
    source: str
    message: str

    @property
    def machine(self) -> bool:
        """Whether a machine that is late, or a cable that does not keep the order, explains it."""
        late = r"retransmission|^Duplicate ACK|^D-SACK"
        overtaken = r"^Previous segment\(s\) not captured|out-of-order segment$"
        ours = self.source == HOST  # captured in the order in which they are sent
        return re.search(late if ours else f"{late}|{overtaken}", self.message) is not None

    @property
    def usual(self) -> bool:
        return self.machine or USUAL.match(self.message) is not None


def experts(tshark: str, capture: Path) -> list[Said]:
    told = output_of(
        tshark, "-r", str(capture), "-Y", f"_ws.expert && tcp && !({REFUSED}) && !({BROKEN_OFF})",
        "-T", "json", "-e", "frame.number", "-e", "ip.src", "-e", "_ws.expert.message",
    )  # fmt: skip
    return [
        Said(int(layers["frame.number"][0]), layers["ip.src"][0], message)
        for packet in json.loads(told)
        for layers in [packet["_source"]["layers"]]
        for message in layers["_ws.expert.message"]
    ]


REFUSED = "tcp.flags.reset == 1 && tcp.seq == 1 && tcp.ack == 1"
"""The answer to who asked before the server listened."""
BROKEN_OFF = "tcp.flags.reset == 1 && ip.src == 10.7.0.1"
"""How wrk's own end leaves when its time is over."""
USUAL = re.compile(
    r"Connection (establish request|establish acknowledge|finish) "
    r"|This frame initiates the connection closing"
    r"|This frame undergoes the connection closing"
    r"|HTTP/1|GET |PUT |POST "
    r"|dropped: tcp_(no_listener|seq_outside|paws)"  # our word; what tshark says of it, follows
    r"|TCP window update|TCP window specified by the receiver is now completely full"
    r"|TCP Zero Window segment"  # a reader slower than the cable: flow control at work
)
