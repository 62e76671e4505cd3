"""The lists beside the runner of packetdrill say what it can use, and no more."""

import importlib.util
from pathlib import Path

RUN = Path(__file__).resolve().parent / "packetdrill/run.py"
spec = importlib.util.spec_from_file_location("packetdrill_run", RUN)
assert spec is not None
assert spec.loader is not None
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def test_the_portable_scripts():
    classes = run.portable()
    assert [list(classes.values()).count(kind) for kind in "PS"] == [27, 33]


def test_each_expected_failure_is_of_a_portable_script_and_has_a_reason():
    known = run.expected()
    assert {name for name, _ in known} <= set(run.portable())
    assert {family for _, family in known} <= set(run.FAMILIES)
    assert all(len(reason) > 10 for reason in known.values())


def test_a_surprise_either_way_counts(capsys):
    known, passes = ("ts_recent/invalid_ack", "v4"), ("close/close-on-syn-sent", "v4")
    classes = run.portable()
    assert run.report({known: "wrong flags", passes: ""}, classes, False) == 0
    assert run.report({known: "", passes: "too late"}, classes, False) == 2
    said = capsys.readouterr().out
    assert "invalid_ack v4: passed, not expected" in said
    assert "close-on-syn-sent v4: failed, not expected: too late" in said
