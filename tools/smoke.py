"""What an installed usertcp must be able to do, in a second: for wheels, in the environment given.

    python tools/smoke.py

Needs no privilege, no network, and nothing but the package's own requirements; uvloop and trio are
tried where they are installed. Exits with 0, or with the failure.
"""

import hashlib
import importlib.util
import json
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import anyio
from anyio.abc import ByteStream

import usertcp
from usertcp import _core

SIZE = 1 << 20  # bytes each way
LIMIT = 60.0  # seconds, for each step


def check(fine: object, what: str) -> None:
    if not fine:
        raise SystemExit(f"smoke: {what}")


def data(seed: int) -> bytes:
    return b"".join(hashlib.sha512(b"%d %d" % (seed, i)).digest() for i in range(SIZE // 64))


async def send_and_end(stream: ByteStream, body: bytes) -> None:
    await stream.send(body)
    await stream.send_eof()


async def exchange(stream: ByteStream, body: bytes, expected: bytes) -> None:
    """Both directions at once; each ends with a FIN of its own."""
    digest, size = hashlib.sha256(), 0
    async with stream, anyio.create_task_group() as tasks:
        tasks.start_soon(send_and_end, stream, body)
        async for chunk in stream:
            digest.update(chunk)
            size += len(chunk)
        check(size == len(expected), f"{size} bytes of {len(expected)} came")
        check(
            digest.digest() == hashlib.sha256(expected).digest(), "other bytes came than were sent"
        )


async def transfer() -> None:
    """Two stacks, a cable in memory, a connection by IPv4 and one by IPv6."""
    there, back = data(1), data(2)
    with anyio.fail_after(LIMIT):
        async with (
            usertcp.open_stack("memory:smoke", addresses=["10.7.0.1/24", "fd07::1/64"]) as client,
            usertcp.open_stack("memory:smoke", addresses=["10.7.0.2/24", "fd07::2/64"]) as server,
        ):
            listener = await server.create_tcp_listener(local_port=8080)

            async def answer(stream: ByteStream) -> None:
                await exchange(stream, back, there)

            async with anyio.create_task_group() as tasks, listener:
                tasks.start_soon(listener.serve, answer)
                for host in ("10.7.0.2", "fd07::2"):
                    await exchange(await client.connect_tcp(host, 8080), there, back)
                tasks.cancel_scope.cancel()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "usertcp", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def command_line() -> None:
    done = run("--version")
    check(
        done.returncode == 0 and done.stdout.startswith("usertcp, version "), f"--version: {done}"
    )
    done = run("doctor", "--json")  # 1 where no device can be used, which is no fault of a wheel
    check(done.returncode in (0, 1), f"doctor: {done}")
    check(json.loads(done.stdout)["works"]["memory:"], f"doctor: {done.stdout}")
    done = run("doctor", "--nonsense")
    check(done.returncode == 2, f"doctor --nonsense: {done}")
    script = Path(sysconfig.get_path("scripts")) / "usertcp"
    check(script.exists(), f"no {script}")


def main() -> None:
    checkout = Path(__file__).resolve().parent.parent / "src"
    home = Path(usertcp.__file__).resolve()
    check(checkout not in home.parents, f"this is the checkout's package ({home}), not a wheel's")
    check((home.parent / "py.typed").exists(), "no py.typed: the wheel's types are nobody's")
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        check(not gil, "importing usertcp switched the GIL on")
    loops: list[tuple[str, dict[str, object]]] = [("asyncio", {})]
    if importlib.util.find_spec("uvloop"):
        loops.append(("asyncio", {"use_uvloop": True}))
    if importlib.util.find_spec("trio"):
        loops.append(("trio", {}))
    for backend, options in loops:
        anyio.run(transfer, backend=backend, backend_options=options)
    command_line()
    print(
        f"smoke: fine. {platform.python_implementation()} {platform.python_version()}, "
        f"GIL {'on' if gil else 'off'}, {platform.machine()}, {Path(_core.__file__ or '').name}, "
        f"{len(loops)} loops"
    )


if __name__ == "__main__":
    main()
