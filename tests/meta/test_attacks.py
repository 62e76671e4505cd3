"""Every row of the list of past attacks on TCP stacks has a test that carries its number."""

import ast

from support.csource import ROOT

ATTACKS = range(1, 49)
WITHOUT = {11: "no DNS is parsed: names are the event loop's to look up"}


def numbers(source: str) -> set[int]:
    """Of each `pytest.mark.attack(n, ...)`."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "attack":
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_each_attack_has_a_test():
    tested = set().union(*(numbers(path.read_text()) for path in ROOT.glob("tests/**/test_*.py")))
    assert tested | set(WITHOUT) == set(ATTACKS)
    assert not tested & set(WITHOUT)
