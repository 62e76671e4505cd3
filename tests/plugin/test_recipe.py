"""docs/recipes/test-networks.md: what it shows runs."""

import importlib.util
import re
import subprocess
import sys

import pytest

from support.csource import ROOT

pytest_plugins = ["pytester"]

TEXT = (ROOT / "docs/recipes/test-networks.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def files(name: str) -> list[str]:
    return [block for block in BLOCKS if block.startswith(f"# {name}\n")]


PASSED = {"test_first": 2, "test_with_trio": 1, "test_with_asyncio": 1}
if importlib.util.find_spec("uvicorn") and importlib.util.find_spec("httpx"):
    PASSED["test_web"] = 1


@pytest.mark.parametrize(("test", "passed"), PASSED.items())
def test_recipe(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, test: str, passed: int):
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest("\n".join(files("conftest.py")))
    (source,) = files(f"{test}.py")
    pytester.makepyfile(**{test: source})
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=passed)


def test_without_a_plugin():
    (source,) = [block for block in BLOCKS if "MockClock" in block]
    subprocess.run([sys.executable, "-W", "error", "-c", source], check=True, timeout=60)
