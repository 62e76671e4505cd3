"""asyncpg and redis.asyncio on a stack, with a real PostgreSQL and a real Redis on kernel TCP."""

import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import usertcp
from frameworks.kernel_side import KERNEL, as_user, certified, found, give, running
from frameworks.on_stack import on_stack, opened
from frameworks.serving import LIMIT
from support.cli import plain_environment
from support.netns import in_namespace, veth

ROWS = 2000


@contextmanager
def postgres() -> Iterator[ssl.SSLContext]:
    """A fresh cluster that lives as long as the block, as a user of its own: not as root's. Who
    trusts its certificate.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    initdb, server = (found(name, *programs) for name in ("initdb", "postgres"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        trusting, certificate, key = certified(Path(place))
        key.chmod(0o600)  # it takes no other
        become = None
        if os.getuid() == 0:
            become = as_user("postgres")
            for path in (place, certificate, key):
                give(Path(path), "postgres")
        settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
        with _serving(initdb, server, Path(place, "data"), settings, become):
            yield trusting


@contextmanager
def _serving(
    initdb: str,
    server: str,
    data: Path,
    settings: dict[str, str],
    become: Callable[[], None] | None,
) -> Iterator[None]:
    subprocess.run(
        [initdb, "--pgdata", data, "--auth", "trust", "--username", "tester", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
        env=plain_environment(),
        preexec_fn=become,
        timeout=LIMIT,
    )
    settings |= {
        "listen_addresses": KERNEL,
        "unix_socket_directories": str(data),
        "fsync": "off",
        "shared_buffers": "16MB",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with data.joinpath("pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.7.0.0/24 trust\n")
    with running([server, "-D", str(data), *words], 5432, cwd="/", preexec_fn=become):
        state, end = data / "postmaster.pid", time.monotonic() + LIMIT
        while not state.read_text().rstrip().endswith("ready"):  # it listens before
            assert time.monotonic() < end
            time.sleep(0.01)
        yield


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@in_namespace
def test_asyncpg(loop: str, tls: bool):
    """With TLS it asks in 8 bytes, and then changes its transport by the loop's `start_tls`."""
    asyncpg = pytest.importorskip("asyncpg")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        where = {"host": KERNEL, "user": "tester", "database": "postgres"}
        where["ssl"] = trusting if tls else False
        connection = await asyncpg.connect(**where)
        in_use = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert await connection.fetchval(in_use) is tls
        await connection.execute("CREATE TABLE words (number int, word text)")
        rows = [(number, "w" * (number % 300)) for number in range(ROWS)]
        await connection.copy_records_to_table("words", records=rows)
        assert await connection.fetchval("SELECT count(*) FROM words") == ROWS
        found = await connection.fetch("SELECT * FROM words ORDER BY number")
        assert [tuple(row) for row in found] == rows
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX ON words (word)")
        big = await connection.fetchval("SELECT repeat('x', 3000000)")
        assert len(big) == 3_000_000
        await connection.close()
        async with asyncpg.create_pool(**where, min_size=3, max_size=3) as pool:
            assert await pool.fetchval("SELECT sum(number) FROM words") == sum(range(ROWS))
        assert opened(stack) == 4

    with postgres() as trusting:
        on_stack(loop, main, "error")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@in_namespace
def test_redis(tmp_path: Path, loop: str):
    asyncio_redis = pytest.importorskip("redis.asyncio")
    server = found("redis-server")
    veth()
    words = ["--bind", KERNEL, "--port", "6379", "--save", "", "--dir", str(tmp_path)]

    async def main(stack: usertcp.Stack) -> None:
        async with asyncio_redis.Redis(
            host=KERNEL, socket_keepalive=True, health_check_interval=1
        ) as client:
            big = os.urandom(3_000_000)
            await client.set("big", big)
            assert await client.get("big") == big
            async with client.pipeline() as pipeline:
                for number in range(1000):
                    pipeline.incrby("sum", number)
                assert (await pipeline.execute())[-1] == sum(range(1000))
            assert opened(stack) == 1
            async with client.pubsub() as subscription:
                await subscription.subscribe("news")
                assert (await subscription.get_message(timeout=10))["type"] == "subscribe"
                assert await client.publish("news", "today") == 1
                assert (await subscription.get_message(timeout=10))["data"] == b"today"

    with running([server, *words, "--protected-mode", "no"], 6379):
        on_stack(loop, main, "error")
