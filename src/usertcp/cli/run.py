"""`usertcp run`: an unchanged program on a stack: a module, a script or a console script."""

import json
import os
import runpy
import shutil
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import click

from usertcp._environment import BUSY_POLL_MOST, check_file
from usertcp.cli import INTERRUPTED
from usertcp.cli._common import (
    FAILURE,
    Failure,
    StackOptions,
    check_stack,
    fail,
    json_option,
    stack_options,
)
from usertcp.cli._hooks import Hooks
from usertcp.cli._known import SERVERS, recipe, workers_of
from usertcp.links import open_link, parse_link


class _Run(click.Command):
    """Ends our own options at `-m MODULE` and at the script: what follows is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        at = 0
        while at < len(args):
            word = args[at]
            if word == "-m":
                if at + 1 == len(args):
                    break  # click misses the module
                args = [*args[: at + 2], "--", *args[at + 2 :]]
                break
            if word.startswith("-m") and not word.startswith("--"):
                args = [*args[:at], "-m", word[2:], "--", *args[at + 1 :]]
                break
            if not word.startswith("-") or word == "--":
                break
            at += 2 if word in valued else 1
        return super().parse_args(ctx, args)


@click.command(
    cls=_Run,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.argument("arguments", nargs=-1, metavar="[SCRIPT|COMMAND] [ARGS]...")
@click.option(
    "--bypass",
    type=click.Choice(["adopt", "kernel", "error"]),
    default="adopt",
    show_default=True,
    envvar="USERTCP_BYPASS",
    show_envvar=True,
    help="Kernel TCP sockets of the program: take over what can be, let be, or refuse.",
)
@click.option(
    "--trace",
    envvar="USERTCP_TRACE",
    show_envvar=True,
    metavar="PATH",
    help="Trace connections as qlog, to this file or in this directory.",
)
@click.option(
    "--busy-poll",
    type=click.FloatRange(0, BUSY_POLL_MOST),
    envvar="USERTCP_BUSY_POLL",
    show_envvar=True,
    metavar="SECONDS",
    help="Look at the link so long before sleeping: faster replies for a CPU's time. 50e-6, say.",
)
@json_option
@stack_options(loop=False)
def run(
    *,
    module: str | None,
    arguments: tuple[str, ...],
    bypass: str,
    trace: str | None,
    busy_poll: float | None,
    as_json: bool,
    stack: StackOptions,
) -> None:
    """Runs an unchanged program on a stack: `usertcp run --link packet:v1 --address 10.7.0.2/24
    -m uvicorn app:app`.

    The program is a module (-m), a script, or a console script such as uvicorn. asyncio, uvloop and
    trio find the stack by themselves; a kernel TCP socket that the program opens all the same is
    told about on stderr. Ends with the program's own exit code; 2 when the command line is wrong, 1
    when the stack cannot be had. --json: what was opened, as the last line on stderr.
    """
    check_stack(stack)
    if module is None and not arguments:
        raise click.UsageError("what is to be run? -m MODULE, a script or a console script")
    _refuse(*((module,) if module is not None else ()), *arguments)
    _try_out(stack)
    os.environ.update(stack.environment() | {"USERTCP_BYPASS": bypass})
    if trace:
        _set_trace(trace)
    if busy_poll is not None:
        os.environ["USERTCP_BUSY_POLL"] = repr(busy_poll)
    hooks = Hooks(stack, bypass, lambda text: click.echo(f"usertcp run: {text}", err=True))
    program = _Program(module, arguments)
    try:
        hooks.install()
    except (ImportError, AttributeError) as error:
        raise Failure(f"usertcp run cannot work here: {error}") from None
    try:
        program.run()
    except SystemExit:
        raise
    except BaseException as error:
        _show(error)
        sys.exit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILURE)
    finally:
        _tell_at_the_end(hooks, as_json=as_json)


def _set_trace(path: str) -> None:
    if not Path(path).is_dir():
        try:
            check_file(path)
        except ValueError as error:
            raise click.UsageError(f"--trace: {error}") from None
    os.environ["USERTCP_TRACE"] = path


def _refuse(name: str, *words: str) -> None:
    package = Path(name).name.partition(".")[0]
    if package in SERVERS:
        raise Failure(recipe(package))
    if (workers := workers_of(package, words, os.environ)) > 1:
        raise Failure(
            f"{package} with {workers} workers: a stack lives in one process, and each would need "
            "an address of its own; let one process serve"
        )


def _try_out(stack: StackOptions) -> None:
    """What cannot be opened is told in a line, not from within the program."""
    assert stack.link is not None
    try:
        if parse_link(stack.link).kind != "memory":  # whose ends would meet
            open_link(stack.link).close()
        if stack.pcap is not None:
            with Path(stack.pcap).open("ab"):
                pass
    except (OSError, ValueError) as error:
        fail(error)


def _show(error: BaseException) -> None:
    """As Python itself would have: from the program's first line on."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_globals.get("__name__") in (__name__, "runpy"):
        trace = trace.tb_next
    error = error.with_traceback(trace or error.__traceback__)
    sys.excepthook(type(error), error, error.__traceback__)


def _tell_at_the_end(hooks: Hooks, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(hooks.summary()), err=True)
        return
    if tickets := hooks.tickets():
        counts = ", ".join(f"{count} x {word}" for word, count in tickets.items())
        click.echo(
            f"usertcp run: kernel TCP sockets that event loops were given: {counts}", err=True
        )
    if hooks.bypasses:
        counts = ", ".join(f"{count} x {word}" for word, count in hooks.bypasses.items())
        click.echo(f"usertcp run: kernel TCP sockets past the stack: {counts}", err=True)
    elif not hooks.stacks and not hooks.children:
        click.echo("usertcp run: the program opened no connection on the stack", err=True)


class _Program:
    """Finds what is to be run, then runs it as `__main__` of this process."""

    def __init__(self, module: str | None, arguments: tuple[str, ...]) -> None:
        self._module = module
        self._words = list(arguments)
        if module is not None:
            sys.path.insert(0, str(Path.cwd()))
            try:
                found = find_spec(module.partition(".")[0])
            except (ImportError, ValueError):
                found = None
            if found is None:
                raise Failure(f"no module named {module!r}")
            return
        name = self._words[0]
        self._script = name if Path(name).is_file() else None
        self._entry = next(iter(entry_points(group="console_scripts", name=name)), None)
        if self._script is None and self._entry is None:
            self._script = self._on_path(name)

    @staticmethod
    def _on_path(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            raise Failure(f"{name!r} is no script, no console script and no command here")
        with Path(path).open("rb") as file:
            first = file.readline(256)
        if not (first.startswith(b"#!") and b"python" in first):
            raise Failure(f"{path} is no Python program: nothing in it would use the stack")
        return path

    def run(self) -> None:
        if self._module is not None:
            sys.argv = [self._module, *self._words]
            runpy.run_module(self._module, run_name="__main__", alter_sys=True)
        elif self._script is not None:
            sys.argv = self._words
            sys.path.insert(0, str(Path(self._script).resolve().parent))
            runpy.run_path(self._script, run_name="__main__")
        else:
            assert self._entry is not None
            sys.argv = self._words
            function = self._entry.load()
            sys.exit(function())
