"""What pyproject.toml cannot say: the cffi modules, the abi3 tag, and a quick compiler driver.

The driver compiles the C files in parallel, and only those whose inputs changed (it reads the
compiler's own dependency files), into one directory per module and set of flags. One build at a
time runs in a checkout, and a finished module replaces the old one at once, so that processes
which use the old one are not disturbed.
"""

import fcntl
import hashlib
import os
import shlex
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED_API = (
    not FREE_THREADED and os.environ.get("UT_LIMITED_API", "1") != "0"
)  # as csrc/_build.py
WHITEBOX = os.environ.get("UT_WHITEBOX", "") not in ("", "0")


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current(obj: Path, command: str) -> bool:
    """Whether `obj` is newer than all that went into it and was made by the same command."""
    deps = obj.with_suffix(".d")
    try:
        made = obj.stat().st_mtime_ns
        if obj.with_suffix(".cmd").read_text() != command:
            return False
        names = shlex.split(deps.read_text().split(":", 1)[1].replace("\\\n", " "))
        return all(Path(name).stat().st_mtime_ns < made for name in names)
    except OSError:
        return False


def _compile(source: str, obj: Path, command: list[str]) -> None:
    line = shlex.join(command)
    if _is_current(obj, line):
        return
    obj.parent.mkdir(parents=True, exist_ok=True)
    obj.unlink(missing_ok=True)
    begun = time.time_ns()
    done = subprocess.run(
        [*command, "-MMD", "-MF", str(obj.with_suffix(".d")), "-c", source, "-o", str(obj)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{line} -c {source}\n{done.stderr}")
    if done.stderr:
        print(done.stderr)
    obj.with_suffix(".cmd").write_text(line)
    os.utime(obj, ns=(begun, begun))  # what is edited while the compiler runs is newer


class BuildExt(build_ext):
    def finalize_options(self) -> None:
        super().finalize_options()
        if self.inplace:  # apart from what goes into wheels
            self.build_lib = "build/inplace"

    def run(self) -> None:
        with _one_at_a_time(Path("build")):
            super().run()

    def build_extension(self, ext: Extension) -> None:
        command = [*self.compiler.compiler_so, *ext.extra_compile_args]
        command += [f"-D{name}={value}" for name, value in ext.define_macros]
        if ext.py_limited_api:
            command += ["-DPy_LIMITED_API=0x030B0000"]
        command += [f"-I{path}" for path in [*ext.include_dirs, *self.compiler.include_dirs]]
        flavour = hashlib.sha256(shlex.join(command).encode()).hexdigest()[:8]
        where = Path(self.build_temp) / f"{ext.name}-{flavour}"
        objects = [where / Path(name).with_suffix(".o") for name in ext.sources]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda source, obj: _compile(source, obj, command), ext.sources, objects))
        ext.extra_objects = [*ext.extra_objects, *map(str, objects)]
        ext.sources, ext.depends = [], list(map(str, objects))
        super().build_extension(ext)

    def copy_extensions_to_source(self) -> None:
        build_py = self.get_finalized_command("build_py")
        for ext in self.extensions:
            inplace, built = self._get_inplace_equivalent(build_py, ext)
            fresh = Path(f"{inplace}.{os.getpid()}")
            self.copy_file(built, str(fresh), level=self.verbose)
            fresh.replace(inplace)


posted = Extension("usertcp._posted", ["src/usertcp/_posted.c"], py_limited_api=LIMITED_API)
modules = ["csrc/_build.py:core", "csrc/_build.py:whitebox"]
if not WHITEBOX:
    modules.pop()
if "UT_NO_EXT" in os.environ:  # `make` installs first and compiles afterwards
    modules.clear()
setup(
    cffi_modules=modules,
    ext_modules=[posted] if modules else [],
    cmdclass={"build_ext": BuildExt},
    options={
        "build_ext": {"build_temp": "build/objects"},
        **({"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED_API else {}),
    },
)
