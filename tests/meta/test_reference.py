"""tools/reference.py, which makes pages from the code, leaves nothing out."""

import dataclasses
import importlib.util
import re
from types import ModuleType

import click
import pytest

import usertcp
from support.csource import ROOT
from usertcp import cli
from usertcp._errors import Code


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(page: str) -> list[str]:
    """What the first column says, without its marks."""
    return re.findall(r"^\| `?([^|`]*)`?", page, re.MULTILINE)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_of_a_command(reference: ModuleType, name: str):
    page = reference.PAGES["cli.md"]()
    section = page.partition(f"## usertcp {name}\n")[2].partition("\n## ")[0]
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    options = [p for p in command.params if isinstance(p, click.Option)]
    for option in options:
        assert option.help or option.default is not None, f"{name} {option.opts}: what is it?"
        for word in (*option.opts, *option.secondary_opts):
            assert re.search(rf"`{word}[` ]", section), word
    assert section.count("\n| `") == len(options)
    assert (command.help or "").split("\n")[0].rstrip() in section


def test_every_option_of_a_stack(reference: ModuleType):
    page = reference.PAGES["options.md"]()
    fields = [field.name for field in dataclasses.fields(usertcp.StackConfig)]
    kinds = [kind.name for kind in usertcp.StreamOption]
    assert [row for row in rows(page) if row.strip() not in ("", "option")] == fields + kinds
    assert "| `rto_min` | 0.2 s |" in page
    assert "| `rcv_buffer` | 2 MiB |" in page


def test_every_drop_and_every_error(reference: ModuleType):
    page = reference.PAGES["counters.md"]()
    told = set(rows(page))
    assert told >= {code.name for code in Code}
    counted = set(reference.counter_names())
    assert {name for name in told if name.startswith("drop_")} == {
        name for name in counted if name.startswith("drop_")
    }
    assert all(f"`{name}`" in page for name in counted)
