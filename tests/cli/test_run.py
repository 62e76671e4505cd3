"""`usertcp run`: unchanged programs on asyncio, uvloop and trio, and what is said of the others."""

import json
import os
import signal
import socket
import textwrap
from pathlib import Path
from subprocess import Popen  # noqa: TC003

import click
import pytest

from support.cli import STACK, clean_environment, line_of, start, usertcp
from support.netns import in_namespace, veth
from usertcp.cli import main
from usertcp.cli._common import StackOptions
from usertcp.cli.run import run

MEMORY = ("--link", "memory:alone", "--address", "10.7.0.2/24")
ECHO = """
import asyncio, sys
async def handle(reader, writer):
    writer.write(b"you said " + await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    done.set()
async def main():
    global done
    done = asyncio.Event()
    async with await asyncio.start_server(handle, port=8080):
        print(__name__, *sys.argv[1:], flush=True)
        await done.wait()
"""
PROGRAMS = {
    "asyncio.run": ECHO + "asyncio.run(main())",
    "uvloop.run": ECHO + "import uvloop; uvloop.run(main())",
    "uvloop.install": ECHO + "import uvloop; uvloop.install(); asyncio.run(main())",
    "the loop's class": ECHO + "asyncio.Runner(loop_factory=asyncio.SelectorEventLoop).run(main())",
    "new_event_loop": ECHO + "asyncio.new_event_loop().run_until_complete(main())",
    "anyio": ECHO + "import anyio; anyio.run(main)",
    "trio": """
import sys, trio
async def handle(stream):
    await stream.send_all(b"you said " + await stream.receive_some())
    await stream.aclose()
    nursery.cancel_scope.cancel()
async def main():
    global nursery
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, handle, 8080)
        print(__name__, *sys.argv[1:], flush=True)
trio.run(main)
""",
    "trio as a guest": """
import asyncio, sys, trio
async def handle(stream):
    await stream.send_all(b"you said " + await stream.receive_some())
    await stream.aclose()
    nursery.cancel_scope.cancel()
async def main():
    global nursery
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, handle, 8080)
        print(__name__, *sys.argv[1:], flush=True)
async def host():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    trio.lowlevel.start_guest_run(
        main, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
    )
    (await done).unwrap()
asyncio.run(host())
""",
    "anyio on trio": """
import sys, anyio
async def handle(stream):
    async with stream:
        await stream.send(b"you said " + await stream.receive())
    scope.cancel()
async def main():
    global scope
    with anyio.CancelScope() as scope:
        import trio
        async with trio.open_nursery() as nursery:
            async def trio_handle(stream):
                await stream.send_all(b"you said " + await stream.receive_some())
                await stream.aclose()
                scope.cancel()
            await nursery.start(trio.serve_tcp, trio_handle, 8080)
            print(__name__, *sys.argv[1:], flush=True)
anyio.run(main, backend="trio")
""",
}


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "program.py"
    path.write_text(request.param)
    return path


def converse(process: "Popen[str]", words: str) -> None:
    """The program is there, and answers on the stack's address."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line == f"__main__{words}\n", process.stderr.read()
    with socket.create_connection(("10.7.0.2", 8080), timeout=20) as client:
        client.sendall(b"hello\n")
        assert client.makefile("rb").read() == b"you said hello\n"
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys(), indirect=True)
@in_namespace
def test_unchanged_programs(program: Path):
    if "uvloop" in program.read_text():
        pytest.importorskip("uvloop")
    veth()
    converse(start("run", *STACK, str(program), "--link", "x"), " --link x")


@in_namespace
def test_a_module_and_its_own_options(tmp_path: Path):
    veth()
    (tmp_path / "served").mkdir()
    (tmp_path / "served/__main__.py").write_text(PROGRAMS["asyncio.run"])
    process = start("run", *STACK, "-m", "served", "--json", "-m", cwd=tmp_path)
    converse(process, " --json -m")


@in_namespace
def test_a_console_script(tmp_path: Path):
    """As pip installs them: an entry point of a distribution."""
    veth()
    (tmp_path / "served.py").write_text(
        ECHO.replace("__name__", "'__main__'") + "def entry(): asyncio.run(main())\n"
    )
    info = tmp_path / "served-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: served\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nserve-it = served:entry\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = clean_environment(PYTHONPATH=path)
    process = start("run", *STACK, "serve-it", "a", env=environment)
    converse(process, " a")


@in_namespace
def test_a_control_socket_and_a_capture_come_with_it(tmp_path: Path):
    veth()
    (tmp_path / "program.py").write_text(PROGRAMS["asyncio.run"])
    control, pcap = tmp_path / "control", tmp_path / "it.pcapng"
    words = ("--control-path", str(control), "--pcap", str(pcap))
    process = start("run", *STACK, *words, str(tmp_path / "program.py"))
    assert process.stdout is not None
    process.stdout.readline()
    [one] = json.loads(usertcp("ss", "-l", "--json", str(control)).stdout)
    assert [row["local"][1] for row in one["connections"]] == [8080]
    with socket.create_connection(("10.7.0.2", 8080), timeout=20) as client:
        client.sendall(b"\n")
        client.recv(100)
    assert process.wait(20) == 0
    assert pcap.stat().st_size > 500
    assert not control.exists()


@in_namespace
def test_traces_of_its_stacks(tmp_path: Path):
    veth()
    (tmp_path / "program.py").write_text(PROGRAMS["asyncio.run"])
    folder = tmp_path / "traces"
    folder.mkdir()
    process = start("run", *STACK, "--trace", str(folder), str(tmp_path / "program.py"))
    assert process.stdout is not None
    process.stdout.readline()
    with socket.create_connection(("10.7.0.2", 8080), timeout=20) as client:
        client.sendall(b"\n")
        client.recv(100)
    assert process.wait(20) == 0
    (file,) = folder.iterdir()
    header, *events = (json.loads(text) for text in file.read_text().split("\x1e")[1:])
    assert header["trace"]["vantage_point"]["name"] == "10.7.0.2"
    states = [event["data"]["new"] for event in events if event["name"].endswith("state_updated")]
    assert states[:2] == ["SYN-RECEIVED", "ESTABLISHED"]


def test_a_trace_that_cannot_be_written_is_told_in_a_line(tmp_path: Path):
    words = ("--trace", str(tmp_path / "nowhere" / "x"), program_of(tmp_path, "print(1)"))
    done = usertcp("run", *MEMORY, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--trace: " in done.stderr


def program_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_exit_codes_are_the_programs(tmp_path: Path):
    for text, status in (("raise SystemExit(7)", 7), ("1 / 0", 1), ("", 0)):
        assert usertcp("run", *MEMORY, program_of(tmp_path, text)).returncode == status


def test_the_program_finds_itself_as_it_always_does(tmp_path: Path):
    path = program_of(tmp_path, "import sys; print(__name__, __file__, sys.argv, sys.path[0])")
    done = usertcp("run", *MEMORY, path, "-x", "--json")
    assert done.stdout == f"__main__ {path} {[path, '-x', '--json']} {tmp_path}\n"


def test_a_program_that_never_used_the_stack_is_told_of(tmp_path: Path):
    done = usertcp("run", *MEMORY, program_of(tmp_path, "pass"))
    assert "opened no connection on the stack" in line_of(done.stderr)
    done = usertcp("run", "--json", *MEMORY, program_of(tmp_path, "pass"))
    wanted = {"stacks": 0, "bypasses": {}, "tickets": {}, "processes": 0}
    assert json.loads(done.stderr) == wanted


BYPASS = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
for _ in range(3):
    socket.create_connection(server.getsockname()).close()
socket.socketpair(); socket.socket(type=socket.SOCK_DGRAM).bind(("127.0.0.1", 0))
print("went on")
"""


def test_a_bypass_is_told_once_and_counted(tmp_path: Path):
    path = program_of(tmp_path, BYPASS)
    done = usertcp("run", "--bypass", "kernel", *MEMORY, path)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert done.stderr.count("was connected to 127.0.0.1:") == 1
    assert done.stderr.count("was bound 127.0.0.1:") == 1
    assert "past the stack: 1 x bind, 3 x connect" in done.stderr

    done = usertcp("run", "--bypass", "error", *MEMORY, path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "usertcp run --bypass error: a kernel TCP socket was bound" in done.stderr


def test_a_bound_socket_that_nobody_adopts_is_told_of(tmp_path: Path):
    path = program_of(tmp_path, "import socket, time; socket.create_server(('', 0)); time.sleep(2)")
    done = usertcp("run", *MEMORY, path)
    assert "no event loop has taken it over" in done.stderr


def test_packages_that_cannot_work_are_named(tmp_path: Path):
    for words in (("-m", "granian"), ("granian",), ("daphne",), ("/somewhere/twistd",)):
        done = usertcp("run", *MEMORY, *words, "app:app")
        assert done.returncode == 1
        assert " cannot run on a stack (" in line_of(done.stderr)
        assert "usertcp forward --listen stack:80 --to kernel:" in line_of(done.stderr)
    (tmp_path / "psycopg.py").write_text("")
    done = usertcp("run", *MEMORY, program_of(tmp_path, "import psycopg"))
    assert "psycopg cannot run on a stack (libpq" in done.stderr


def test_what_cannot_be_run():
    for words, status, part in (
        ((), 2, "what is to be run"),
        (("no-such-program",), 1, "is no script"),
        (("-m", "no_such_module"), 1, "no module named"),
        (("-m",), 2, "requires an argument"),
        (("true",), 1, "no Python program"),
    ):
        done = usertcp("run", *MEMORY, *words)
        assert (done.returncode, done.stdout) == (status, "")
        assert part in done.stderr


@in_namespace
def test_a_device_that_is_not_there_is_told_in_a_line():
    done = usertcp("run", "--link", "packet:none", "--address", "10.7.0.2/24", "x")
    assert (done.returncode, "no network device" in line_of(done.stderr)) == (1, True)


def test_a_capture_that_cannot_be_written_is_told_in_a_line(tmp_path: Path):
    words = ("--pcap", str(tmp_path / "nowhere" / "x"), program_of(tmp_path, "print(1)"))
    done = usertcp("run", *MEMORY, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file" in line_of(done.stderr)


@pytest.mark.parametrize(("error", "status"), [("EOFError", 1), ("KeyboardInterrupt", 130)])
def test_the_program_dies_as_it_would_by_itself(tmp_path: Path, error: str, status: int):
    done = usertcp("run", *MEMORY, program_of(tmp_path, f"raise {error}('mine')"))
    assert done.returncode == status
    trace, _, rest = done.stderr.partition(f"\n{error}: mine\n")
    head, first, *_ = trace.splitlines()
    assert head == "Traceback (most recent call last):"
    assert first.endswith('program.py", line 1, in <module>')
    assert rest == "usertcp run: the program opened no connection on the stack\n"


def test_an_interrupt_reaches_the_program(tmp_path: Path):
    text = """
    import time
    try:
        print("up", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        raise SystemExit(9)
    """
    with start("run", *MEMORY, program_of(tmp_path, text)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 9


@pytest.mark.parametrize(
    ("words", "module", "rest"),
    [
        (["-m", "uvicorn", "app:app", "--port", "1"], "uvicorn", ["app:app", "--port", "1"]),
        (["--mtu", "1400", "-mhttp.server", "--bind", "x"], "http.server", ["--bind", "x"]),
        (["--control", "script.py", "-m", "x", "--json"], None, ["script.py", "-m", "x", "--json"]),
        (["--link", "-m", "script.py"], None, ["script.py"]),
        (["--", "script.py", "--json"], None, ["script.py", "--json"]),
    ],
)
def test_whose_option_it_is(words: list[str], module: str | None, rest: list[str]):
    assert isinstance(main, click.Group)
    context = run.make_context("run", list(words))
    assert context.params["module"] == module
    assert list(context.params["arguments"]) == rest
    assert context.params["as_json"] is False


def test_the_environment_says_the_same():
    options = StackOptions("raw:", ("10.7.0.2/24", "fd07::2/64"), (), 1400, None, "1", "asyncio")
    assert options.environment() == {
        "USERTCP_LINK": "raw:",
        "USERTCP_ADDRESS": "10.7.0.2/24,fd07::2/64",
        "USERTCP_MTU": "1400",
        "USERTCP_CONTROL": "1",
    }
