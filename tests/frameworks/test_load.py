"""Many requests at once and big bodies, by programs made for that; the capture has no complaint."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

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


@in_namespace
def test_tshark_has_no_complaint(tmp_path: Path):
    """Its own state machine sees nothing malformed and no retransmission on a lossless cable, but
    for tail loss probes (RFC 8985 7): an end that the machine lets wait for 2 ms is sent one."""
    pytest.importorskip("fastapi")
    tshark = found("tshark")
    veth()
    capture = tmp_path / "it.pcapng"
    body = tmp_path / "body"
    body.write_bytes(bytes(8 << 20))
    command = ("--pcap", str(capture), *UVICORN, "--log-level", "warning")
    with serving(*command):
        for _ in range(20):
            ask("/items/3000")
        ask("/upload", "--upload-file", str(body))
    fields = ("-e", "_ws.expert.message", "-e", "_ws.expert.severity", "-e", "frame.number")
    shown = f"_ws.expert && tcp && !({REFUSED})"
    said = output_of(tshark, "-r", str(capture), "-Y", shown, "-T", "json", *fields)
    told = [
        message
        for packet in json.loads(said)
        for message in packet["_source"]["layers"].get("_ws.expert.message", ())
        if not USUAL.match(message)
    ]
    assert {message for message in told if not PROBE.match(message)} == set()
    assert len(told) <= PROBES


PROBE = re.compile(
    r"D-SACK Sequence|This frame is a \(suspected\) (?:spurious )?retransmission|Duplicate ACK \("
)
PROBES = 30
REFUSED = "tcp.flags.reset == 1 && tcp.seq == 1 && tcp.ack == 1"
"""The answer to who asked before the server listened."""
USUAL = re.compile(
    r"Connection (establish request|establish acknowledge|finish) "
    r"|This frame initiates the connection closing"
    r"|This frame undergoes the connection closing"
    r"|HTTP/1|GET |PUT |POST "
    r"|TCP window update|TCP window specified by the receiver is now completely full"
    r"|TCP Zero Window segment"  # a reader slower than the cable: flow control at work
)
