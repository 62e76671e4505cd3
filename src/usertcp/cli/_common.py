"""What commands share: the options of a stack, how one is opened, errors in a line, exit codes.

0    done
1    it failed: the reason is one line on stderr
2    the command line (or a USERTCP_ variable that stands for an option) is wrong
130  interrupted (the group sees to it)
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import anyio
import click
from click.core import ParameterSource

import usertcp
from usertcp import _environment as variables
from usertcp._address import parse_address, parse_interface
from usertcp.links import parse_link

FAILURE = 1
Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


class Failure(click.ClickException):
    """One line on stderr, exit code 1."""

    exit_code = FAILURE

    def show(self, _file: Any = None) -> None:
        click.echo(f"usertcp: {self.format_message()}", err=True)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """`--link` and its company."""

    link: str | None
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    mtu: int | None
    pcap: str | None
    control: str | None
    loop: str
    origins: Mapping[str, str] = field(default_factory=dict)
    """The variable that a value came from, by the option's parameter; empty of options given."""

    def environment(self) -> dict[str, str]:
        """The same as USERTCP_ variables, for what is started."""
        given = {
            variables.LINK: self.link,
            variables.ADDRESS: ",".join(self.addresses),
            variables.GATEWAY: ",".join(self.gateways),
            variables.MTU: self.mtu and str(self.mtu),
            variables.PCAP: self.pcap,
            variables.CONTROL: self.control,
        }
        return {name: value for name, value in given.items() if value}


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--link",
        envvar=variables.LINK,
        show_envvar=True,
        metavar="URL",
        help="packet:IFNAME, tun:IFNAME, raw: or memory:NAME.",
    ),
    click.option(
        "--address",
        "addresses",
        multiple=True,
        envvar=variables.ADDRESS,
        show_envvar=True,
        metavar="ADDRESS/PREFIX",
        help="The stack's own, like 10.7.0.2/24; several times or with commas.",
    ),
    click.option(
        "--gateway",
        "gateways",
        multiple=True,
        envvar=variables.GATEWAY,
        show_envvar=True,
        metavar="ADDRESS",
        help="One per family.",
    ),
    click.option(
        "--mtu",
        type=click.IntRange(*variables.MTU_RANGE),
        envvar=variables.MTU,
        show_envvar=True,
        help="Bytes of an IP packet; the link's if not given.",
    ),
    click.option(
        "--pcap",
        envvar=variables.PCAP,
        show_envvar=True,
        type=click.Path(dir_okay=False),
        help="Write what passes to a pcapng file.",
    ),
    click.option(
        "--control", is_flag=True, help="A control socket for `usertcp ss` and `usertcp capture`."
    ),
    click.option(
        "--control-path",
        envvar=variables.CONTROL,
        show_envvar=True,
        metavar="PATH",
        help="The same at this path, or in this directory.",
    ),
)
_LOOP = click.option(
    "--loop",
    type=click.Choice(["asyncio", "uvloop", "trio"]),
    default="asyncio",
    show_default=True,
    help="The event loop under it.",
)


def stack_options(*, loop: bool = True) -> Callable[[Command], Command]:
    """Adds the options; the command gets them as one argument, `stack`."""

    def decorate(command: Command) -> Command:
        def collect(**values: Any) -> Any:
            options = StackOptions(
                link=values.pop("link"),
                addresses=_split(values.pop("addresses")),
                gateways=_split(values.pop("gateways")),
                mtu=values.pop("mtu"),
                pcap=values.pop("pcap"),
                control=_control_path(values["control"], values.pop("control_path")),
                loop=values.pop("loop", "asyncio"),
                origins=_origins(control=values.pop("control")),
            )
            return command(stack=options, **values)

        collect.__name__, collect.__doc__ = command.__name__, command.__doc__
        decorated: Any = collect
        decorated.__click_params__ = list(getattr(command, "__click_params__", ()))
        for option in reversed((*_OPTIONS, *((_LOOP,) if loop else ()))):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _origins(*, control: bool) -> dict[str, str]:
    context = click.get_current_context()
    return {
        option.name: str(option.envvar)
        for option in context.command.params
        if context.get_parameter_source(option.name) is ParameterSource.ENVIRONMENT
        and not (control and option.name == "control_path")
    }


def _control_path(flag: bool, path: str | None) -> str | None:
    path = None if path == "0" else path
    return path or ("1" if flag else None)


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for value in values for part in variables.split(value))


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs, nothing else."
)


def check_stack(options: StackOptions) -> None:
    """A `UsageError` for what is wrong on the command line, before anything is begun."""
    if not options.link:
        raise click.UsageError(
            "which link? Give --link URL or set USERTCP_LINK, like packet:v1 "
            "(`usertcp doctor` tells what works here)"
        )
    if not options.addresses:
        raise click.UsageError(
            "which address? Give --address or set USERTCP_ADDRESS, like 10.7.0.2/24"
        )
    where = "link"
    try:
        parse_link(options.link)
        where = "addresses"
        for address in options.addresses:
            parse_interface(address)
        where = "gateways"
        for gateway in options.gateways:
            parse_address(gateway, "gateway")
        where = "pcap"
        if options.pcap is not None and where in options.origins:
            variables.check_file(options.pcap)
    except ValueError as error:
        origin = f"{options.origins[where]}: " if where in options.origins else ""
        raise click.UsageError(f"{origin}{error}") from None


def opener(options: StackOptions) -> AbstractAsyncContextManager[usertcp.Stack]:
    """The stack the options describe, for `async with`."""
    assert options.link is not None
    control = None if "control_path" in options.origins else options.control  # it asks itself
    return usertcp.open_stack(
        options.link,
        addresses=options.addresses,
        gateway=options.gateways or None,
        mtu=options.mtu,
        capture=options.pcap,
        control=control,
    )


def run(options: StackOptions, main: Callable[[], Awaitable[T]]) -> T:
    """`main` on the chosen loop; what goes wrong becomes a line."""
    check_stack(options)
    return run_plain(main, options.loop)


def run_plain(main: Callable[[], Awaitable[T]], loop: str = "asyncio") -> T:
    backend = "trio" if loop == "trio" else "asyncio"
    settings = {"use_uvloop": True} if loop == "uvloop" else {}
    try:
        return anyio.run(main, backend=backend, backend_options=settings)
    except ImportError as error:
        raise Failure(f"{loop} is not installed here: {error}") from None
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        first = _first(group)
        if not isinstance(first, _EXPECTED):
            raise
        fail(first)
    except _EXPECTED as error:
        fail(error)


_EXPECTED = (
    click.ClickException,
    OSError,
    ValueError,
    MemoryError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.ConnectionFailed,
)
"""What becomes a line; all else is a bug and keeps its traceback."""


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def reason(error: BaseException) -> str:
    """A line that says why: the causes where the error itself only says that."""
    if isinstance(error, anyio.BrokenResourceError | anyio.ConnectionFailed) and error.__cause__:
        return reason(error.__cause__)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(map(reason, error.exceptions)))
    if str(error) == "All connection attempts failed" and error.__cause__ is not None:
        return reason(error.__cause__)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def fail(error: BaseException) -> NoReturn:
    if isinstance(error, click.ClickException):
        raise error
    raise Failure(reason(error)) from None


def print_json(document: Any) -> None:
    click.echo(json.dumps(document))


def host_port(text: str, default_host: str | None = None) -> tuple[str | None, int]:
    """`HOST:PORT`, `[HOST]:PORT`, `PORT`; `ValueError` for anything else."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host[:1] == "[" else host
    if not (port.isascii() and port.isdigit()) or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r}: the port is a number of 0 to 65535, as in 10.7.0.1:80")
    if ":" in host and not text.startswith("["):
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [fd07::1]:80")
    return (host if colon and host else default_host), int(port)


def show_address(address: tuple[str, int]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
