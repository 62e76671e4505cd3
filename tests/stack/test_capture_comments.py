"""A capture says of each frame that was dropped why, by the names of the counters."""

import shutil
import subprocess
from pathlib import Path

import pytest

from link.test_pcap import IN, OUT, Capture, parse
from stack.bench import Bench, EtherBench, flags_of
from usertcp._core import ffi, lib
from usertcp.testing.packets import Icmp, Packet, decode


class Tap:
    """A capture of a bench's stack."""

    def __init__(self, bench: Bench, path: Path) -> None:
        self._link, self._path = lib.ut_stack_link(bench.engine.raw._stack), path
        assert lib.ut_link_capture(self._link, bytes(path), ffi.new("int *")) == 0

    def stop(self) -> Capture:
        lib.ut_link_capture_stop(self._link)
        return parse(self._path.read_bytes())


@pytest.fixture
def tapped(tmp_path: Path) -> tuple[Bench, Tap]:
    bench = Bench()
    bench.engine.listen(80)
    return bench, Tap(bench, tmp_path / "x.pcapng")


def why(capture: Capture) -> list[str]:
    """The reasons of the received frames, in order."""
    found = [one.comment for one in capture.packets if one.direction == IN]
    assert all(text.startswith("dropped: ") for text in found if text)
    return [text.removeprefix("dropped: ").partition(":")[0] for text in found]


def test_the_reason_stands_at_its_frame(tapped: tuple[Bench, Tap]):
    """All in one batch, layer by layer; what was taken has no comment."""
    bench, tap = tapped
    good = bench.syn(5000)
    other = bench.host + 7
    frames = {
        good: "",
        good[:10] + b"\1\2" + good[12:]: "ip_checksum",
        good[:-1] + bytes([good[-1] ^ 1]): "tcp_checksum",
        bench.syn(5001): "",
        bench.syn(5002, dst=other): "ip_not_ours",
        bench.tcp("RST", sport=6000): "tcp_listen_not_syn",
        bench.tcp("ACK", dport=81, sport=6001): "tcp_no_listener",
        bench.packet(b"?", protocol=99): "ip_protocol",
        b"E": "ip_header_short",
        bench.syn(5003): "",
    }
    answers = bench.arrives(*frames)
    capture = tap.stop()
    assert why(capture) == list(frames.values())
    assert [one.data for one in capture.packets if one.direction == IN] == list(frames)
    assert [one.comment for one in capture.packets if one.direction == OUT] == [""] * len(answers)
    sentence = next(one.comment for one in capture.packets if "ip_not_ours" in one.comment)
    assert sentence == "dropped: ip_not_ours: destination is not one of our addresses"


def test_answers_stand_behind_what_they_answer(tapped: tuple[Bench, Tap]):
    """More resets than a batch of the link holds; and an echo, which is sent at once."""
    bench, tap = tapped
    ping = bench.packet(Icmp(type=8, body=b"x" * 20))
    segments = [bench.tcp("ACK", sport=1000 + n, dport=81, ack=n) for n in range(63)]
    for _ in range(3):
        bench.arrives(*segments, ping)
    capture = tap.stop()
    assert why(capture) == (["tcp_no_listener"] * 63 + [""]) * 3
    asked: set[int] = set()
    resets = echoes = 0
    for one in capture.packets:
        packet = decode(one.data)
        if isinstance(packet.body, Icmp):
            echoes += one.direction == OUT
        elif one.direction == IN:
            asked.add(packet.segment.sport)
        else:
            assert flags_of(packet) == "RST"
            assert packet.segment.dport in asked
            resets += 1
    assert (resets, echoes) == (63 * 3, 3)
    assert capture.received == (63 + 1) * 3 * 2
    assert capture.dropped == 0


def test_of_a_connection_and_a_half_open_one(tapped: tuple[Bench, Tap]):
    bench, tap = tapped
    answer = bench.opens(5000)
    bench.arrives(bench.ack_of(answer, seq=answer.segment.ack + 10**8, payload=b"far off"))
    (half,) = bench.arrives(bench.syn(5001))
    bench.arrives(bench.syn(5001))
    bench.arrives(bench.ack_of(half, ack=half.segment.seq + 77))
    capture = tap.stop()
    assert why(capture) == ["", "", "tcp_seq_outside", "", "tcp_syn_again", "tcp_bad_handshake_ack"]


def test_on_ethernet(tmp_path: Path):
    bench = EtherBench()
    tap = Tap(bench, tmp_path / "x.pcapng")
    syn = bench.syn(5000)
    bench.hears(syn, kind=0x1234)
    bench.hears(syn, dst=b"\2\0\0\0\0\x77")
    bench.hears(syn)
    found = why(tap.stop())
    assert found == ["ethertype_unknown", "frame_not_ours", "tcp_no_listener"]


def test_a_capture_that_comes_and_goes_changes_nothing(tmp_path: Path):
    """Same seed, same packets, with and without."""
    sent: list[list[Packet]] = []
    for is_tapped in (False, True):
        bench = Bench(seed=3)
        bench.engine.listen(80)
        told: list[Packet] = []
        for n in range(40):
            tap = Tap(bench, tmp_path / f"{n}.pcapng") if is_tapped and n % 3 else None
            told += bench.arrives(
                bench.syn(5000 + n), bench.tcp("ACK", dport=81), bench.syn(1, dst=bench.host)
            )
            if tap is not None:
                assert why(tap.stop()) == ["", "tcp_no_listener", "ip_land"]
        sent.append(told)
    assert sent[0] == sent[1]


def test_tshark_shows_it(tapped: tuple[Bench, Tap], tmp_path: Path):
    if shutil.which("tshark") is None:
        pytest.skip("no tshark here")
    bench, tap = tapped
    bench.arrives(bench.syn(5000), bench.tcp("ACK", dport=81))
    tap.stop()
    done = subprocess.run(
        ["tshark", "-r", str(tmp_path / "x.pcapng"), "-T", "fields", "-e", "frame.comment"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = done.stdout.split("\n")
    assert said[0] == ""
    assert said[1].startswith("dropped: tcp_no_listener: ")
    assert set(said[2:]) == {""}
