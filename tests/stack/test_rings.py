"""What the rings of connections cost: addresses by their size, memory by what lies in them."""

from pathlib import Path

from stack.bench import Bench

CONNECTIONS = 100
RING = 2 << 20


def resident() -> int:
    """Bytes of memory that this process really has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_a_byte_that_nobody_reads_costs_a_page_not_a_ring():
    bench = Bench()
    bench.engine.listen(80, backlog=CONNECTIONS)
    answers = [bench.opens(40_001 + n) for n in range(CONNECTIONS)]
    before, had = bench.engine.memory, resident()
    for answer in answers:
        bench.arrives(bench.ack_of(answer, payload=b"x"))
    assert bench.engine.memory - before == CONNECTIONS * RING
    assert resident() - had < CONNECTIONS * 64 * 1024
    unread = [row.rcv_readable for row in bench.engine.raw.list_info() if row.rcv_readable]
    assert unread == [1] * CONNECTIONS


def test_rings_are_never_made_of_huge_pages():
    """Where the machine uses those everywhere: a byte would cost 2 MiB."""
    bench = Bench()
    bench.engine.listen(80)
    bench.arrives(bench.ack_of(bench.opens(40_001), payload=b"x"))
    maps = Path("/proc/self/smaps").read_text().split("VmFlags:")
    sizes = [part.rpartition("\nSize:")[2].split()[0] for part in maps[:-1]]
    flags = [part.splitlines()[0].split() for part in maps[1:]]
    of_rings = [f for s, f in zip(sizes, flags, strict=True) if int(s) * 1024 >= RING]
    assert any("nh" in f for f in of_rings)
