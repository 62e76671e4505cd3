"""Pictures: what is drawn is what passed. Series are looked at, and axes; no pixels."""

import struct
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

import usertcp
from sim.runs import on_asyncio, on_trio
from support import pages
from support.csource import ROOT
from usertcp.testing import SECOND, Impairment, Network, Recording, Simulator, plot, plots
from usertcp.testing._pcapng import read_pcapng
from usertcp.testing._series import Piece, Seen, compute
from usertcp.testing.packets import ACK, FIN, PSH, RST, SYN, Options, Packet, Segment

MS = 1_000_000
A, B = ("10.0.0.1", 1000), ("10.0.0.2", 80)


class Script:
    """Segments by hand: a's numbers begin at `isn`, b's at 5000."""

    def __init__(self, isn: int = 2**32 - 3) -> None:
        self.isn = isn
        self.found: list[Seen] = []

    def add(self, ms: float, forth: bool, seq: int, ack: int, flags: int, **more: Any) -> None:
        mine, theirs = (self.isn, 5000) if forth else (5000, self.isn)
        sack = tuple(
            ((theirs + lo) % 2**32, (theirs + hi) % 2**32) for lo, hi in more.pop("sack", ())
        )
        options = Options(sack=sack, wscale=more.pop("wscale", None))
        self.found.append(
            Seen(
                round(ms * MS), forth, (mine + seq) % 2**32,
                (theirs + ack) % 2**32 if flags & ACK else 0, flags, more.get("window", 100),
                options, more.get("length", 0),
            )
        )  # fmt: skip


@pytest.fixture
def script() -> Script:
    """A handshake, four segments of which the second is lost, its retransmission, and both FINs;
    numbers wrap within the first.
    """
    s = Script()
    s.add(0, True, 0, 0, SYN, wscale=1)
    s.add(10, False, 0, 1, SYN | ACK, wscale=3, window=1000)
    s.add(10, True, 1, 1, ACK)
    for n in range(4):
        s.add(11 + n, True, 1 + 100 * n, 1, ACK | PSH, length=100)
    s.add(22, False, 1, 101, ACK)
    s.add(24, False, 1, 101, ACK, sack=[(201, 301)])
    s.add(25, False, 1, 101, ACK, sack=[(201, 401)])
    s.add(30, True, 101, 1, ACK | PSH, length=100)
    s.add(45, False, 1, 401, ACK)
    s.add(50, True, 401, 1, ACK | FIN)
    s.add(60, False, 1, 402, ACK)
    s.add(70, False, 1, 402, ACK | FIN)
    s.add(70, True, 402, 2, ACK)
    return s


def test_series_of_a_loss(script: Script):
    series = compute(script.found)
    forth = series.forth
    first = [Piece((11 + n) / 1e3, 1 + 100 * n, 101 + 100 * n, again=False) for n in range(4)]
    assert forth.sent == [*first, Piece(0.03, 101, 201, again=True)]
    assert [(m.at, m.seq, m.name) for m in forth.marks] == [(0, 0, "SYN"), (0.05, 401, "FIN")]
    assert forth.acks == [
        (0.01, 1), (0.022, 101), (0.024, 101), (0.025, 101), (0.045, 401), (0.06, 402), (0.07, 402)
    ]  # fmt: skip
    assert forth.sacks == [(0.024, 201, 301), (0.025, 201, 401)]
    assert series.back.bytes_sent == 0


def test_windows_are_scaled_but_for_the_syn(script: Script):
    edges = compute(script.found).forth.edges
    assert edges[:2] == [(0.01, 1 + 1000), (0.022, 101 + (100 << 3))]


def test_a_window_without_its_handshake_is_not_drawn(script: Script):
    series = compute(script.found[3:])
    assert series.forth.edges == []
    assert series.forth.acks != []


def test_round_trips_are_of_what_was_sent_once(script: Script):
    """Karn: the ACK of 401 says nothing, since 101 to 201 was sent twice."""
    rtts = compute(script.found).forth.rtts
    assert rtts == [(0.022, pytest.approx(0.011))]


def test_bytes_in_flight(script: Script):
    flight = dict(compute(script.found).forth.flight)
    at = {0.014: 400, 0.022: 300, 0.03: 300, 0.045: 0, 0.05: 1, 0.06: 0}
    assert {key: flight[key] for key in at} == at


def test_states_from_segments(script: Script):
    first, second = compute(script.found).states
    assert [name for _, name in first] == [
        "CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"
    ]  # fmt: skip
    assert [name for _, name in second] == [
        "LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"
    ]  # fmt: skip


@pytest.mark.parametrize("forth", [True, False])
def test_a_reset_ends_both(forth: bool):
    s = Script()
    s.add(0, True, 5, 5, ACK, length=3)
    s.add(1, forth, 8, 5, RST)
    assert [path[-1] for path in compute(s.found).states] == [(0.001, "CLOSED")] * 2


def test_simultaneous_close():
    s = Script()
    s.add(0, True, 0, 0, ACK | FIN)
    s.add(1, False, 0, 0, ACK | FIN)
    s.add(2, True, 1, 1, ACK)
    s.add(3, False, 1, 1, ACK)
    first, second = compute(s.found).states
    assert [name for _, name in first] == ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
    # It had not heard of the FIN when it sent its own; when it did, it only tells by its ACK.
    assert [name for _, name in second] == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]


# -- recordings ------------------------------------------------------------------------------------


def transfer(length: int) -> tuple[Recording, Recording]:
    """`length` bytes over a lossy path, as its two ends see it."""
    with Simulator(seed=5) as sim:
        a, b = sim.host("10.0.0.1/24"), sim.host("10.0.0.2/24")
        sim.join(a, b, Impairment(delay=0.02, loss=0.03), Impairment(delay=0.02))
        views = Recording(a), Recording(b)
        listener = b.engine.listen(80)
        client = a.engine.connect("10.0.0.2", 80)
        servers, left, got = [], length, 0

        def step(_: object) -> None:
            nonlocal left, got
            if not servers and (server := listener.accept()) is not None:
                servers.append(server)
            if servers and client.info.state.name == "ESTABLISHED" and left:
                left -= client.send(b"x" * left)
            if servers and got < length:
                got += len(servers[0].receive(length - got))

        sim.after_event = step
        assert sim.run(until=sim.now + 300 * SECOND, stop=lambda: got == length)
    return views


def test_a_simulation_is_recorded():
    ours, theirs = transfer(200_000)
    series, other = ours.series(), theirs.series()
    assert ours.connections == [(ours.connections[0][0], B)]
    assert theirs.connections == [ours.connections[0][::-1]]
    assert series.forth.bytes_sent == other.back.bytes_sent == 200_001  # the SYN counts
    assert any(piece.again for piece in series.forth.sent)
    assert series.forth.sacks
    # What was lost, the sender sent and the receiver never saw.
    assert len(series.forth.sent) > len(other.back.sent)
    assert min(rtt for _, rtt in series.forth.rtts) >= 0.0399
    assert [name for _, name in series.states[0]][:3] == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert series.cwnd[0][1] > 10_000
    sizes = [cwnd for _, cwnd in series.cwnd]
    assert any(later < earlier for earlier, later in pairwise(sizes)), "the losses"
    assert series.ssthresh
    assert all(0.03 < srtt < 1 for _, srtt in series.srtt)


@pytest.mark.parametrize("run", [on_asyncio, on_trio])
def test_a_host_of_a_network_and_its_capture_agree(tmp_path: Path, run: Any):
    path = tmp_path / "a.pcapng"

    async def main() -> Recording:
        async with Network(seed=3) as net:
            a, b = net.host(capture=path), net.host()
            net.join(a, b, delay=0.01, loss=0.02)
            recording = Recording(a)

            async def serve() -> None:
                async with (
                    await usertcp.create_tcp_listener(local_port=80) as listener,
                    await listener.listeners[0].accept() as stream,
                ):
                    async for chunk in stream:
                        await stream.send(chunk[:10])

            b.start_soon(serve)
            async with a:
                await anyio.sleep(0.1)
                async with await usertcp.connect_tcp(b.address, 80) as stream:
                    await stream.send(bytes(50_000))
                    await stream.receive()
        return recording

    live, read = run(main), Recording.read(path)
    assert read.connections[0] == live.connections[0]
    seen, captured = live._flows[0].segments, read._flows[0].segments
    # A super-segment of the link is one packet to both.
    assert [(s.forth, s.seq, s.ack, s.flags, s.length) for s in captured[: len(seen)]] == [
        (s.forth, s.seq, s.ack, s.flags, s.length) for s in seen
    ]
    assert live.series().cwnd != []
    assert read.series().cwnd == []
    assert read.unread == live.unread == 0


def test_another_connection_between_the_same_ends():
    recording = Recording()
    src, dst = (packet.src for packet in (ip("10.0.0.1", "10.0.0.2"), ip("10.0.0.2", "10.0.0.1")))
    for at, (seq, flags) in enumerate([(10, SYN), (10, SYN), (11, RST), (700, SYN), (701, ACK)]):
        segment = Segment(sport=1000, dport=80, seq=seq, flags=flags)
        recording.add_packet(at, Packet(src=src, dst=dst, body=segment).encode())
    recording.add_packet(9, b"nonsense")
    assert [row["segments"] for row in recording.summary()] == [3, 2]
    assert recording.summary()[0]["flags"] == {"SYN": 2, "RST": 1}
    assert recording.unread == 1


def ip(src: str, dst: str, payload: bytes = b"", **fields: Any) -> Packet:
    from ipaddress import ip_address

    segment = Segment(sport=1000, dport=80, payload=payload, **({"flags": ACK} | fields))
    return Packet(src=ip_address(src), dst=ip_address(dst), body=segment)


# -- pcapng ----------------------------------------------------------------------------------------


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def a_file(order: str, link: int, frames: list[bytes], *, resolution: bytes = b"", snap: int = 0):
    options = struct.pack(f"{order}HH", 9, 1) + resolution + bytes(3) if resolution else b""
    data = block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(order, 1, struct.pack(f"{order}HHI", link, 0, 0) + options)
    for number, frame in enumerate(frames):
        kept = frame[:snap] if snap else frame
        head = struct.pack(f"{order}5I", 0, 0, 1000 * number, len(kept), len(frame))
        data += block(order, 6, head + kept)
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("resolution", "unit"), [(b"", 1000), (b"\x09", 1), (b"\x8a", 1e9 / 1024)])
def test_either_byte_order_and_any_resolution(tmp_path: Path, order: str, resolution: bytes, unit):
    data = ip("fd00::1", "fd00::2", b"hello").encode()
    path = tmp_path / "x.pcapng"
    path.write_bytes(a_file(order, 101, [data, data], resolution=resolution))
    found = list(read_pcapng(path))
    assert [packet.data for packet in found] == [data, data]
    assert found[1].at_ns == int(1000 * unit)


@pytest.mark.parametrize("tag", [b"", b"\x81\x00\x00\x07", b"\x88\xa8\x00\x01\x81\x00\x00\x02"])
def test_ethernet_with_padding_and_tags(tmp_path: Path, tag: bytes):
    data = ip("10.0.0.1", "10.0.0.2").encode()
    frames = [bytes(12) + tag + b"\x08\x00" + data + bytes(6), bytes(12) + b"\x08\x06" + bytes(28)]
    path = tmp_path / "x.pcapng"
    path.write_bytes(a_file("<", 1, frames))
    assert [packet.data for packet in read_pcapng(path)] == [data]


def test_frames_cut_short_count_with_their_length(tmp_path: Path):
    path = tmp_path / "x.pcapng"
    path.write_bytes(a_file("<", 101, [ip("10.0.0.1", "10.0.0.2", bytes(1000)).encode()], snap=60))
    assert Recording.read(path).series().forth.bytes_sent == 1000


def test_a_file_that_ends_amid_a_block_is_read_to_there(tmp_path: Path):
    data = a_file("<", 101, [ip("10.0.0.1", "10.0.0.2").encode()] * 2)
    path = tmp_path / "x.pcapng"
    for cut in (1, 5, 30):
        path.write_bytes(data[:-cut])
        assert len(list(read_pcapng(path))) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no pcapng"),
        (b"\xd4\xc3\xb2\xa1" + bytes(40), "no pcapng"),
        (a_file("<", 105, []), "link type 105"),
        (a_file("<", 101, [])[:28] + struct.pack("<II", 6, 4) + bytes(20), "a block of 4 bytes"),
        (a_file("<", 101, [])[:28] + block("<", 6, bytes(20)), "a broken block"),
        (a_file("<", 101, []) + block("<", 6, b"abc"), "a broken block"),
        (a_file("<", 101, []) + block("<", 3, bytes(8)), "without times"),
    ],
)
def test_what_is_no_capture_is_told(tmp_path: Path, data: bytes, why: str):
    path = tmp_path / "x.pcapng"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=why):
        Recording.read(path)


# -- pictures --------------------------------------------------------------------------------------


def test_the_axes_hold_the_series():
    pytest.importorskip("matplotlib")
    recording = transfer(100_000)[0]
    series = recording.series()
    figure_of, _ = plots._matplotlib()
    figure = plots._draw(figure_of, series, ["a", "b"], None)
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "sequence number", "bytes", "round trip, ms", "state"
    ]  # fmt: skip
    sequence, flight, trips, states = figure.axes
    lines = {line.get_label(): line for ax in figure.axes for line in ax.get_lines()}
    strokes = {found.get_label(): found.get_segments() for found in sequence.collections}
    assert list(zip(*lines["acknowledged"].get_data(), strict=True)) == series.forth.acks
    assert list(zip(*lines["cwnd"].get_data(), strict=True)) == series.cwnd
    assert len(lines["measured"].get_xdata()) == len(series.forth.rtts)
    again = [piece for piece in series.forth.sent if piece.again]
    assert [stroke[:, 1].tolist() for stroke in strokes["retransmitted"]] == [
        [piece.lo, piece.hi] for piece in again
    ]
    assert len(strokes["SACK"]) == len(series.forth.sacks)
    assert "ESTABLISHED" in [label.get_text() for label in states.get_yticklabels()]
    assert flight.get_ylim()[0] == trips.get_ylim()[0] == 0


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_written(tmp_path: Path, suffix: str):
    pytest.importorskip("matplotlib")
    source = tmp_path / "x.pcapng"
    source.write_bytes(a_file("<", 101, [ip("10.0.0.1", "10.0.0.2").encode()]))  # no data at all
    out = plot(source, tmp_path / f"x.{suffix}", title="nothing")
    assert out.read_bytes().startswith(b"\x89PNG\r\n" if suffix == "png" else b"<?xml")


def test_which_connection(tmp_path: Path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="no TCP connection"):
        plot(Recording(), tmp_path / "x.png")
    with pytest.raises(ValueError, match="connection 7: there are 0"):
        plot(Recording(), tmp_path / "x.png", connection=7)
    with pytest.raises(FileNotFoundError):
        plot(tmp_path / "nothing.pcapng", tmp_path / "x.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'usertcp\[plot\]'"):
        plot(Recording(), tmp_path / "x.png")


def test_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    (code,) = pages.blocks((ROOT / "docs/recipes/pictures.md").read_text(), "python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "pictures.md", "exec"), {})
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
