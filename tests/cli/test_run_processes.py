"""Processes that a program under `usertcp run` starts: they take over what their parent bound."""

import socket
from pathlib import Path

import pytest

from support.cli import STACK, clean_environment, line_of, start, usertcp
from support.netns import in_namespace, veth
from usertcp.cli import _hooks
from usertcp.cli._common import StackOptions
from usertcp.cli._known import workers_of

MEMORY = ("--link", "memory:alone", "--address", "10.7.0.2/24")
# A supervisor that binds, and a process that serves, as uvicorn's reloader and hypercorn have it.
SUPERVISOR = """
import asyncio, multiprocessing, socket, sys
from multiprocessing import reduction  # lets sockets be pickled

async def handle(reader, writer):
    writer.write(b"you said " + await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    done.set()

async def main(sock):
    global done
    done = asyncio.Event()
    async with await asyncio.start_server(handle, sock=sock):
        print("up", flush=True)
        await done.wait()

def serve(sock):
    {serve}

if __name__ == "__main__":
    sock = socket.socket()
    sock.bind(("0.0.0.0", 8080))
    process = multiprocessing.get_context({method!r}).Process(target=serve, args=(sock,))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""
TRIO = """import trio
    async def on_trio():
        sock.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        print("up", flush=True)
        stream = await listener.accept()
        await stream.send_all(b"you said " + await stream.receive_some())
        await stream.aclose()
    trio.run(on_trio)"""
SERVERS = {
    "asyncio": "asyncio.run(main(sock))",
    "uvloop": "import uvloop; uvloop.run(main(sock))",
    "trio": TRIO,
}


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("server", SERVERS)
@in_namespace
def test_a_process_serves_what_its_parent_bound(tmp_path: Path, server: str, method: str):
    pytest.importorskip(server)
    veth()
    program = tmp_path / "program.py"
    program.write_text(SUPERVISOR.format(serve=SERVERS[server], method=method))
    process = start("run", *STACK, str(program))
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line == "up\n", process.stderr.read()
    with socket.create_connection(("10.7.0.2", 8080), timeout=20) as client:
        client.sendall(b"hello\n")
        assert client.makefile("rb").read() == b"you said hello\n"
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


@in_namespace
def test_two_processes_cannot_have_one_address(tmp_path: Path):
    veth()
    program = tmp_path / "program.py"
    serve = "asyncio.run(main(sock))"
    text = SUPERVISOR.format(serve=serve, method="spawn")
    program.write_text(text.replace("    process.join()", SECOND))
    process = start("run", *STACK, str(program))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "packet:v1: process " in said
    assert "has a stack with 10.7.0.2 already" in said


SECOND = """
    import time
    first = process
    process = multiprocessing.get_context('spawn').Process(target=serve, args=(sock,))
    for _ in range(2000):
        if "@usertcp/" in open("/proc/net/unix").read():
            break
        time.sleep(0.01)
    process.start()
    process.join()
    first.terminate()
    first.join()
"""


@pytest.mark.parametrize("adopted", [True, False])
def test_a_process_that_takes_nothing_over_is_told_of(
    monkeypatch: pytest.MonkeyPatch, adopted: bool
):
    """As one that accepts by itself, in a blocking call that no hook sees."""
    timers: list[tuple[float, object]] = []
    monkeypatch.setattr(
        _hooks, "_start", lambda seconds, call, text: timers.append((seconds, (call, text)))
    )
    said: list[str] = []
    options = StackOptions("memory:a", ("10.7.0.2/24",), (), None, None, None, "asyncio")
    hooks = _hooks.Hooks(options, "adopt", said.append)
    hooks.expect_adoption("")
    assert timers == []
    hooks.expect_adoption("a kernel TCP socket was bound 0.0.0.0:80, past the stack")
    ((seconds, (call, text)),) = timers  # type: ignore[misc]
    assert seconds == _hooks.PATIENCE_OF_CHILDREN
    hooks.stacks = int(adopted)
    call(text)
    words = f"{text}, and no event loop has taken it over"
    assert said == ([] if adopted else [words])


@pytest.mark.parametrize(
    ("package", "words", "environ", "number"),
    [
        ("uvicorn", "app:app --workers 2", "", 2),
        ("uvicorn", "--workers=3 app:app", "", 3),
        ("uvicorn", "app:app", "4", 4),
        ("uvicorn", "app:app --workers 1", "4", 1),
        ("uvicorn", "app:app", "", 0),
        ("uvicorn", "app:app --workers", "", 0),
        ("uvicorn", "app:app --workers many", "", 0),
        ("hypercorn", "-w 2 app", "4", 2),
        ("hypercorn", "-w2 app", "", 2),
        ("hypercorn", "app", "4", 0),
        ("gunicorn", "--workers 2 app", "", 2),
        ("fastapi", "run --workers 2", "", 2),
        ("python", "--workers 2", "2", 0),
    ],
)
def test_how_many_workers(package: str, words: str, environ: str, number: int):
    given = {"WEB_CONCURRENCY": environ} if environ else {}
    assert workers_of(package, words.split(), given) == number


@pytest.mark.parametrize("words", [("-m", "uvicorn"), ("uvicorn",), ("hypercorn",), ("gunicorn",)])
def test_workers_are_refused_before_anything_runs(words: tuple[str, ...]):
    done = usertcp("run", *MEMORY, *words, "app:app", "--workers", "2", env=clean_environment())
    assert (done.returncode, done.stdout) == (1, "")
    assert "with 2 workers: a stack lives in one process" in line_of(done.stderr)
