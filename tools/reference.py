"""The pages of the documentation that are made from the code, whenever it is built.

    python tools/reference.py        # prints them

They are in no repository, so they cannot be old. The command line comes from click's own
parameters, not from its help texts, whose layout depends on its version.
"""

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import click

import usertcp
from usertcp import _binding, cli
from usertcp._errors import ERRORS

ROOT = Path(__file__).resolve().parent.parent
MADE = "Made from the code by `tools/reference.py`.\n"


def cell(text: str) -> str:
    """One line, safe within a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(map(cell, row))} |" for row in rows]


# -- the command line ------------------------------------------------------------------------------


def names_of(option: click.Option) -> str:
    """`-c`, `--count N`."""
    value = "" if option.is_flag or option.count else f" {option.metavar or kind_of(option)}"
    names = [*option.opts, *option.secondary_opts]
    return (
        ", ".join(f"`{name}`" for name in names[:-1])
        + f"{', ' * bool(names[1:])}`{names[-1]}{value}`"
    )


def kind_of(option: click.Option) -> str:
    match option.type:
        case click.Choice(choices=choices):
            return "|".join(map(str, choices))
        case click.types.IntParamType() | click.types.FloatParamType():
            return "N"
        case _:
            return option.type.name.upper()


def options_of(command: click.Command) -> Iterator[tuple[str, ...]]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            told = (parameter.help or "").strip()
            if parameter.show_default and parameter.default not in (None, ()):
                default = parameter.default
                if parameter.secondary_opts:
                    default = (parameter.opts if default else parameter.secondary_opts)[0]
                told += f" Default: `{default}`."
            if isinstance(parameter.type, click.IntRange | click.FloatRange):
                low, high = parameter.type.min, parameter.type.max
                told += f" {low} to {high}." if high is not None else f" At least {low}."
            variable = f"`{parameter.envvar}`" if parameter.envvar else ""
            yield names_of(parameter), variable, told


def usage_of(name: str, command: click.Command) -> str:
    words = ["usertcp", name, "[OPTIONS]"]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            word = parameter.metavar or (parameter.name or "").upper()
            many = "..." if parameter.nargs == -1 and not word.endswith("...") else ""
            words.append((word if parameter.required or "[" in word else f"[{word}]") + many)
    return " ".join(words)


def text_of(command: click.Command) -> str:
    """Its description in Markdown: click's mark for "as it stands" becomes a block of code."""
    parts = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if part.startswith("\b\n"):
            parts.append("```text\n" + part.removeprefix("\b\n") + "\n```")
        else:
            parts.append(part)
    return "\n\n".join(parts)


def command_line() -> str:
    lines = ["# Command line", "", MADE]
    lines += ["What the commands are for, with examples: [the recipe](recipes/cli.md).", ""]
    context = click.Context(cli.main)
    rows = ((f"[`{name}`](#usertcp-{name})", text) for name, text in cli.COMMANDS.items())
    lines += table(("command", "does"), rows)
    for name in cli.COMMANDS:
        command = cli.main.get_command(context, name)
        assert command is not None
        lines += ["", f"## usertcp {name}", "", "```text", usage_of(name, command), "```", ""]
        lines += [text_of(command), ""]
        lines += table(("option", "environment", "is"), options_of(command))
    return "\n".join(lines) + "\n"


# -- options ---------------------------------------------------------------------------------------


def fields_of(module: str, name: str) -> Iterator[tuple[str, str]]:
    """(field, its docstring) in the order of the source."""
    tree = ast.parse((ROOT / "src/usertcp" / module).read_text())
    (body,) = (n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == name)
    for statement, following in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(following, ast.Expr):
            assert isinstance(following.value, ast.Constant)
            yield target.id, str(following.value.value)


def default_of(name: str) -> str:
    """The engine's, in the user's unit; nothing where the field's own sentence says it."""
    config = _binding.ffi.new("ut_config *")
    _binding.lib.ut_config_default(config)
    if name == "nodelay":
        return "on"  # open_stack sets it
    if hasattr(config, f"{name}_ns"):
        return f"{getattr(config, f'{name}_ns') / 1e9:g} s"
    kind = str(usertcp.StackConfig.__annotations__[name])
    if name.startswith("fixed_") or "str" in kind or not hasattr(config, name):
        return ""
    value = int(getattr(config, name))
    if "bool" in kind:
        return "on" if value else "off"
    if name.endswith("_buffer"):
        return f"{value >> 20} MiB"
    return str(value)


def options() -> str:
    lines = ["# Options of a stack", "", MADE]
    how = "`usertcp.open_stack(link, addresses=[...], msl=10, ...)`, or all in one `StackConfig`."
    lines += [f"{how} Times are seconds, sizes bytes.", ""]
    fields = fields_of("_config.py", "StackConfig")
    rows = ((f"`{name}`", default_of(name), text) for name, text in fields)
    lines += table(("option", "default", "is"), rows)
    lines += ["", "## Of a connection, while it lives", ""]
    lines += ["`stream.set_option(usertcp.StreamOption.NODELAY, 0)`, and `get_option`.", ""]
    kinds = (
        (f"`{usertcp.StreamOption[name].name}`", text)
        for name, text in fields_of("streams.py", "StreamOption")
    )
    lines += table(("option", "is"), kinds)
    return "\n".join(lines) + "\n"


# -- counters and errors ---------------------------------------------------------------------------


def definitions(name: str, macro: str) -> Iterator[tuple[str, str]]:
    """(name, sentence) of the lines of a .def list."""
    text = (ROOT / "csrc/base" / name).read_text()
    return iter(re.findall(rf"^{macro}\((\w+), \"(.*)\"\)$", text, re.MULTILINE))


def counter_names() -> Iterator[str]:
    for index in itertools.count():
        name = _binding.lib.ut_counter_name(index)
        if name == _binding.ffi.NULL:
            return
        yield _binding.ffi.string(name).decode()


def counters() -> str:
    lines = ["# Counters and errors", "", MADE]
    lines += ["## Why something was dropped", ""]
    lines += ["Keys of `stack.statistics().counters`. What a peer or the network does wrong is", ""]
    lines[-2] += (
        " never an exception: it is counted here. A capture says the reason beside the packet."
    )
    rows = ((f"`drop_{name}`", text) for name, text in definitions("drops.def", "UT_DROP"))
    lines += table(("counter", "counts"), rows)
    others = [name for name in counter_names() if not name.startswith("drop_")]
    lines += ["", "## What else is counted", "", ", ".join(f"`{name}`" for name in others) + "."]
    lines += ["", "## Why a call failed", ""]
    lines += [
        "`ConnectionInfo.error` has the name. AnyIO's streams raise `BrokenResourceError`",
        "",
    ]
    lines[-2] += " from the exception, sockets and transports the exception itself."
    failures = ((f"`{code.name}`", f"`{e.exception}`", e.sentence) for code, e in ERRORS.items())
    lines += table(("name", "exception", "is"), failures)
    return "\n".join(lines) + "\n"


PAGES = {"cli.md": command_line, "options.md": options, "counters.md": counters}
"""Pages of the documentation, by their places in it."""


if __name__ == "__main__":
    for name, make in PAGES.items():
        print(f"<!-- {name} -->\n{make()}")
