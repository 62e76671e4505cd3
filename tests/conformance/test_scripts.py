"""Our own packetdrill scripts, through the adapter, without packetdrill."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.csource import ROOT

HERE = Path(__file__).resolve().parent / "packetdrill"
BUILD = ROOT / "build/packetdrill"
SCRIPTS = sorted((HERE / "scripts").glob("*.pkt"))
FLAGS = {
    "v4": "profile=linux,local=192.168.0.1,mtu=1500",
    "v6": "profile=linux,local=fd3d:a0b:17d6::1,mtu=1520",  # the MSS the scripts were written with
}


@pytest.fixture(scope="session")
def adapter() -> Path:
    """Built once, whichever worker comes first."""
    if shutil.which("gcc") is None or shutil.which("make") is None:
        pytest.skip("no gcc and make on this machine")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-C", ROOT, "packetdrill-adapter"], check=True, capture_output=True)
    return BUILD / "adapter.so"


@pytest.fixture
def sysctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a script's first line would set, and nothing of this machine's."""
    (tmp_path / "tcp_fastopen").write_text("3")
    (tmp_path / "tcp_fastopen_key").write_text("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4")
    monkeypatch.setenv("UT_SYSCTL_DIR", str(tmp_path))


def play(adapter: Path, family: str, script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, HERE / "play.py", "--adapter", adapter),
            *("--flags", FLAGS[family], "--family", family, script),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("sysctl")
@pytest.mark.parametrize("family", FLAGS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(adapter: Path, script: Path, family: str):
    done = play(adapter, family, script)
    assert done.returncode == 0, done.stderr


def test_a_wrong_expectation_is_told_with_its_line(adapter: Path, tmp_path: Path):
    right = (HERE / "scripts/handshake_and_close.pkt").read_text().splitlines()
    number, line = next((n, x) for n, x in enumerate(right, 1) if "> S. 0:0(0) ack 1" in x)
    right[number - 1] = line.replace("ack 1", "ack 2")
    wrong = tmp_path / "wrong.pkt"
    wrong.write_text("\n".join(right))
    done = play(adapter, "v4", wrong)
    assert done.returncode == 1
    assert f"line {number}: expected" in done.stderr
