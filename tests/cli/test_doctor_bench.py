"""`usertcp doctor` and `usertcp bench`: what they find, and that it is so."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

import usertcp as package
from support.cli import usertcp
from support.netns import drop_capabilities, in_namespace, veth
from usertcp import netns
from usertcp.cli import COMMANDS, _checks, doctor, main


@in_namespace
def test_doctor_where_everything_is_allowed():
    veth()
    done = usertcp("doctor", "--json")
    report = json.loads(done.stdout)
    found = {check["name"]: check for check in report["checks"]}
    assert done.returncode == 0, report
    assert report["works"]["memory:"]
    assert report["works"]["packet:"]
    assert found["CAP_NET_RAW"]["status"] == found["AF_PACKET"]["status"] == "ok"
    assert "mtu 1500" in found["device v0"]["detail"] or "/sys" in found["device v0"]["detail"]
    assert found["device v1"]["status"] in ("ok", "note")


@in_namespace
def test_doctor_without_privilege():
    """It says what is missing, each with a command; and it is right about it."""
    drop_capabilities()
    checks = [*_checks.privileges(), *_checks.packet_socket(), *_checks.nftables()]
    missing = {check.name: check for check in checks if check.status == _checks.MISSING}
    assert missing.keys() == {"CAP_NET_RAW", "CAP_NET_ADMIN", "AF_PACKET", "nftables"}
    assert all(check.fix.startswith("sudo ") for check in missing.values())
    with pytest.raises(PermissionError):
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    [made] = [check for check in _checks.tun() if check.status != _checks.OK][:1] or [None]
    assert made is not None
    assert made.fix


@in_namespace
def test_doctor_tells_of_offloads():
    veth()
    netns.offloads("v1", tso=False)
    assert "tso off" in _checks._offloads("v1")
    assert "tso on" in _checks._offloads("v0")


def test_doctor_as_text():
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == int(
        not ("packet: works" in result.output or "tests works" in result.output)
    )
    assert "memory: works" in result.output
    assert "AF_PACKET" in result.output


def test_verdicts():
    good = [_checks.Check(name, _checks.OK, "") for name in ("engine", "AF_PACKET")]
    works = doctor.verdicts(good)
    assert works["packet:"]
    assert works["memory:"]
    assert not works["tun:"]
    assert not works["raw:"]
    assert doctor.can_reach_a_network(works)
    assert not doctor.can_reach_a_network(doctor.verdicts(good[:1]))


def test_small_bench():
    done = usertcp("bench", "--small", "--seconds", "0.05", "--loop", "trio", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["workload"] for row in report["rows"]] == ["bulk", "echo"]
    for row in report["rows"]:
        assert row["ratio"] == pytest.approx(row["usertcp"] / row["kernel"])
        assert row["kernel"] > 0 < row["usertcp"]
    assert "one process" in usertcp("bench", "--small", "--seconds", "0.05").stdout


def test_bench_finds_the_checkouts_own():
    from usertcp.cli import bench

    expected = Path(package.__file__).parents[2] / "benchmarks/against_kernel.py"
    assert bench.script() == (expected if expected.exists() else None)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_json_and_a_line(name: str):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
    assert name in CliRunner().invoke(main, ["--help"]).output


def test_a_command_that_is_none():
    result = CliRunner().invoke(main, ["netstat"])
    assert result.exit_code == 2


def test_rmem_and_devices_can_be_read_anywhere():
    assert list(_checks.receive_buffer())
    assert {check.name for check in _checks.devices()} >= {"device lo"}
