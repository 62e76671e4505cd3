"""cffi: how the engine becomes `usertcp._core` (and, for tests, `usertcp._whitebox`).

What Python sees is the marked regions of include/*.h themselves plus enums made from the two .def
lists; there is no second copy. setup.py runs this file; the environment may say
  UT_WHITEBOX=1        also build usertcp._whitebox: checks on, and the regions of api/whitebox_*.h
  UT_SANITIZE=a,b      compile and link with -fsanitize=a,b, without optimisation that hides places
  UT_COVERAGE=1        compile for gcov
  UT_LIMITED_API=0     for this very version of Python, as free-threaded ones always are
  UT_CFLAGS="..."      further compiler flags
"""

import os
import re
import shlex
import sysconfig
from pathlib import Path

import cffi

CSRC = Path(__file__).resolve().parent
PUBLIC_HEADERS = (
    "usertcp_link.h",
    "usertcp.h",
    "usertcp_info.h",
    "usertcp_cc.h",
    "usertcp_notes.h",
)  # in cffi's reading order
LAYERS = ("base", "wire", "tcp", "ip", "link", "stack", "api")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED_API = not FREE_THREADED and os.environ.get("UT_LIMITED_API", "1") != "0"
COMPILER = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
SANITIZE = os.environ.get("UT_SANITIZE", "")
WHITEBOX = os.environ.get("UT_WHITEBOX", "") not in ("", "0")

_REGION = re.compile(r"/\* CDEF BEGIN \*/\n(.*?)/\* CDEF END \*/", re.DOTALL)
_ERROR = re.compile(r"^UT_ERROR\((\d+), (\w+), (\w+), \"(.*)\"\)$", re.MULTILINE)
_DROP = re.compile(r"^UT_DROP\((\w+), \"(.*)\"\)$", re.MULTILINE)


def region(header: Path) -> str:
    """The part of a header that cffi reads, verbatim; empty when it has none."""
    return "".join(_REGION.findall(header.read_text()))


def errors() -> list[tuple[int, str, str, str]]:
    """(code, name, exception, sentence) of each line of errors.def."""
    found = _ERROR.findall((CSRC / "base/errors.def").read_text())
    return [(int(code), name, exception, text) for code, name, exception, text in found]


def drops() -> list[tuple[str, str]]:
    """(name, sentence) of each line of drops.def."""
    return _DROP.findall((CSRC / "base/drops.def").read_text())


def cdef(*, whitebox: bool = False) -> str:
    """All declarations of the module."""
    codes = ", ".join(f"UT_E_{name} = {code}" for code, name, _, _ in errors())
    reasons = ", ".join(["DROP_none", *(f"DROP_{name}" for name, _ in drops()), "DROP_COUNT"])
    text = f"enum ut_error {{ {codes} }};\nenum drop_reason {{ {reasons} }};\n"
    text += "".join(region(CSRC / "include" / name) for name in PUBLIC_HEADERS)
    if whitebox:
        text += "\n".join(region(header) for header in whitebox_headers())
    return text


def whitebox_headers() -> list[Path]:
    return sorted(CSRC.glob("api/whitebox*.h"))


def sources(*, whitebox: bool = False) -> list[str]:
    """The C files of the module, relative to the project."""
    files = [path for layer in LAYERS for path in sorted((CSRC / layer).glob("*.c"))]
    if not whitebox:
        files = [path for path in files if not path.name.startswith("whitebox")]
    return [path.relative_to(CSRC.parent).as_posix() for path in files]


def _builder(name: str, *, whitebox: bool) -> cffi.FFI:
    compile_args = ["-std=gnu11", "-O2", "-fvisibility=hidden", "-pthread"]
    link_args = ["-pthread"]
    if SANITIZE:
        compile_args += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-O1", "-g"]
        compile_args += ["-fno-omit-frame-pointer"]
        link_args += [f"-fsanitize={SANITIZE}"]
    if os.environ.get("UT_COVERAGE", "") not in ("", "0"):
        compile_args += ["--coverage", "-O0"]
        link_args += ["--coverage"]
    elif not SANITIZE and not whitebox and "clang" not in COMPILER:
        # The layers are separate files for the reader; the compiler may see across them.
        compile_args += ["-flto=auto"]
        link_args += ["-flto=auto", "-O2"]
    compile_args += shlex.split(os.environ.get("UT_CFLAGS", ""))
    headers = [f"include/{name}" for name in PUBLIC_HEADERS[2:]]
    headers += ["base/errors.h", "base/drops.h"]
    if whitebox:
        headers += [path.relative_to(CSRC).as_posix() for path in whitebox_headers()]
    builder = cffi.FFI()
    builder.cdef(cdef(whitebox=whitebox))
    builder.set_source(
        name,
        "".join(f'#include "{header}"\n' for header in headers),
        sources=sources(whitebox=whitebox),
        include_dirs=["csrc"],
        define_macros=[("UT_CHECKS", "1")] if whitebox else [],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        py_limited_api=LIMITED_API,
    )
    return builder


core = _builder("usertcp._core", whitebox=False)
whitebox = _builder("usertcp._whitebox", whitebox=True) if WHITEBOX else None
