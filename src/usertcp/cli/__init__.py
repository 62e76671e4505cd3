"""The command line: `usertcp ...` or `python -m usertcp ...`. One file per command.

A command is a module of this package with a click command of the module's name in it; naming it in
COMMANDS is all it takes. Modules are imported when their command is used, so `--help` stays quick
and one command's imports are no other's burden.
"""

from importlib import import_module

import click

COMMANDS = {
    "demo": "The whole thing in a private namespace, no set-up, checks itself.",
    "run": "Runs an unchanged program on a stack.",
    "ss": "Connections of a running program, in the columns of ss.",
    "capture": "pcapng of a running stack.",
    "plot": "A connection of a capture, as a picture.",
    "doctor": "What this machine allows, and the command that mends what is missing.",
    "ping": "TCP ping: how long connecting takes, again and again.",
    "nc": "Connects or listens; standard input and output.",
    "forward": "Relays connections between kernel sockets and a stack.",
    "bench": "The comparison with kernel TCP on this machine.",
}
"""Name of the command and its module, and the line `--help` shows."""
INTERRUPTED = 130


class _Lazy(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"usertcp.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """An interrupt ends with 130 wherever it strikes: click's own would be a 1."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="usertcp")
def main() -> None:
    """TCP that lives in the Python process."""
