"""Every public name, its public members and its fields say what they are, in the source."""

import ast
import dataclasses
import enum
import importlib
import inspect
import sys
from typing import Any

import pytest

from support.csource import ROOT

MODULES = ("usertcp", "usertcp.asyncio", "usertcp.trio", "usertcp.testing")
# What an enumeration's members mean is in the RFC that its own docstring names.
NAMED_BY_AN_RFC = {"State"}


def public() -> list[tuple[str, Any]]:
    found = []
    for module in MODULES:
        exported = importlib.import_module(module)
        found += [(f"{module}.{name}", getattr(exported, name)) for name in exported.__all__]
    return found


CLASSES = [(name, value) for name, value in public() if inspect.isclass(value)]


def test_every_name_has_a_docstring():
    bare = [name for name, value in public() if not isinstance(value, int) and not value.__doc__]
    assert bare == []


@pytest.mark.parametrize(("name", "cls"), CLASSES)
def test_every_method_has_a_docstring(name: str, cls: type):
    """Its own, or that of what it implements: AnyIO's, asyncio's, trio's."""
    bare = []
    for member, value in vars(cls).items():
        is_code = isinstance(value, property | classmethod | staticmethod) or callable(value)
        if not member.startswith("_") and is_code and not inspect.getdoc(getattr(cls, member)):
            bare.append(member)
    assert bare == [], name


def fields_without_docs(cls: type) -> list[str]:
    """Fields of a dataclass, members of an enumeration: a string follows each in the source."""
    source = ROOT / "src" / f"{cls.__module__.replace('.', '/')}.py"
    if not source.exists():
        source = ROOT / "src" / cls.__module__.replace(".", "/") / "__init__.py"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            break
    else:
        raise AssertionError(f"{cls} is not in {source}")
    bare = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                is_told = isinstance(following, ast.Expr) and isinstance(
                    following.value, ast.Constant
                )
                if not name.startswith("_") and not is_told:
                    bare.append(name)
    return bare


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        (name, cls)
        for name, cls in CLASSES
        if (dataclasses.is_dataclass(cls) or issubclass(cls, enum.Enum))
        and cls.__name__ not in NAMED_BY_AN_RFC
    ],
)
def test_every_field_is_explained(name: str, cls: type):
    assert fields_without_docs(cls) == [], f"{name}: what is it, in which unit?"


def test_the_check_can_fail():
    assert fields_without_docs(sys.modules["usertcp"].State) != []
