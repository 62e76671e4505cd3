"""asyncpg and redis.asyncio on a stack, with a real PostgreSQL and a real Redis on kernel TCP."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import usertcp
from frameworks.kernel_side import KERNEL, as_user, found, give, running
from frameworks.on_stack import on_stack, opened
from support.netns import in_namespace, veth

ROWS = 2000


@contextmanager
def postgres() -> Iterator[None]:
    """A fresh cluster that lives as long as the block, as a user of its own: not as root's."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    initdb, server = (found(name, *programs) for name in ("initdb", "postgres"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        become = None
        if os.getuid() == 0:
            become = as_user("postgres")
            give(Path(place), "postgres")
        yield from _serve(initdb, server, Path(place, "data"), become)


def _serve(
    initdb: str, server: str, data: Path, become: Callable[[], None] | None
) -> Iterator[None]:
    subprocess.run(
        [initdb, "--pgdata", data, "--auth", "trust", "--username", "tester", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
        preexec_fn=become,
    )
    settings = {
        "listen_addresses": KERNEL,
        "unix_socket_directories": str(data),
        "fsync": "off",
        "shared_buffers": "16MB",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with data.joinpath("pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.7.0.0/24 trust\n")
    with running([server, "-D", str(data), *words], 5432, cwd="/", preexec_fn=become):
        yield


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@in_namespace
def test_asyncpg(loop: str):
    asyncpg = pytest.importorskip("asyncpg")
    veth()

    async def main(stack: usertcp.Stack) -> None:
        connection = await asyncpg.connect(
            host=KERNEL, user="tester", database="postgres", ssl=False
        )
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
        async with asyncpg.create_pool(
            host=KERNEL, user="tester", database="postgres", ssl=False, min_size=3, max_size=3
        ) as pool:
            assert await pool.fetchval("SELECT sum(number) FROM words") == sum(range(ROWS))
        assert opened(stack) == 4

    with postgres():
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
