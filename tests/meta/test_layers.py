"""Rule 1: the folder says what a file may know. Rule 2: one header, one concept."""

import ast
import re
from pathlib import Path

import pytest

from support import csource
from support.csource import CSRC, ROOT

# What each folder may include: folders, or path prefixes.
ALLOWED = {
    "base": ("base/",),
    "wire": ("base/", "wire/"),
    "tcp": ("base/", "tcp/", "wire/tcp"),
    "ip": ("base/", "wire/", "ip/"),
    "link": ("base/", "link/"),
    "stack": ("base/", "wire/", "tcp/", "ip/", "link/", "stack/", "include/"),
    "api": ("base/", "stack/", "include/", "api/"),
    "include": ("include/",),
}
# Files that may know more than their folder: the engine's face to links, and the tests' key.
FURTHER = {"api/links": ("link/",), "api/whitebox": ("wire/", "tcp/", "ip/", "link/")}

C_STANDARD = {
    *(
        "assert",
        "errno",
        "inttypes",
        "limits",
        "stdalign",
        "stdarg",
        "stdatomic",
        "stdbool",
        "stddef",
    ),
    *("stdint", "stdio", "stdlib", "string"),
}
# System headers beyond C's own, by path prefix.
SYSTEM = {
    "link/": (".*",),
    "stack/pump": (".*",),
    "stack/clock": ("time.h",),
    "stack/": ("pthread.h",),
    "api/": ("pthread.h",),
    "base/alloc": ("sys/mman.h", "unistd.h"),
    "base/": ("pthread.h",),
    "wire/checksum": ("immintrin.h", "cpuid.h", "arm_neon.h"),
}

SOURCES = csource.files("*/*.c", "*/*.h", "*/*.def")


def test_the_tree_is_there():
    assert {path.parent.name for path in SOURCES} == set(ALLOWED)


@pytest.mark.parametrize("path", SOURCES, ids=csource.name)
def test_includes_stay_in_their_layer(path: Path):
    name, folder = csource.name(path), path.parent.name
    allowed = ALLOWED[folder]
    for prefix, more in FURTHER.items():
        if name.startswith(prefix):
            allowed += more
    ours, theirs = csource.includes(path)
    assert [header for header in ours if not header.startswith(allowed)] == []
    assert [header for header in ours if not (CSRC / header).exists()] == []
    patterns = [p for prefix, found in SYSTEM.items() if name.startswith(prefix) for p in found]
    strangers = [
        header
        for header in theirs
        if header.removesuffix(".h") not in C_STANDARD
        and not any(re.fullmatch(pattern, header) for pattern in patterns)
    ]
    assert strangers == []


def closure(path: Path) -> set[str]:
    """Our headers that the file includes, directly or not."""
    seen: set[str] = set()
    todo = [path]
    while todo:
        for header in csource.includes(todo.pop())[0]:
            if header not in seen and (CSRC / header).exists():
                seen.add(header)
                todo.append(CSRC / header)
    return seen


@pytest.mark.parametrize("path", csource.files("tcp/*.[ch]"), ids=csource.name)
def test_tcp_knows_no_address(path: Path):
    """Not even by way of another header."""
    foreign = re.compile(r"(ip|link|stack|api|include)/|wire/(?!tcp|bytes)")
    assert [header for header in sorted(closure(path)) if foreign.match(header)] == []


def test_no_circle_of_headers():
    circles = [
        csource.name(path) for path in csource.files("*/*.h") if csource.name(path) in closure(path)
    ]
    assert circles == []


@pytest.mark.parametrize("path", csource.files("*/*.h"), ids=csource.name)
def test_guard_names_the_file(path: Path):
    folder, stem = path.parent.name, path.stem.upper()
    guard = f"{stem}_H" if folder == "include" else f"UT_{folder.upper()}_{stem}_H"
    text = path.read_text()
    assert re.findall(r"^#ifndef (\w+)\n#define (\w+)$", text, re.MULTILINE)[:1] == [(guard, guard)]
    assert text.rstrip().endswith("#endif")


@pytest.mark.parametrize("path", csource.files(), ids=csource.name)
def test_head_says_what_the_file_is(path: Path):
    text = path.read_text()
    assert text.startswith(f"/* {path.name}: "), "the first words name the file and say what it is"


@pytest.mark.parametrize("path", csource.files("*/*.c"), ids=csource.name)
def test_source_begins_with_its_own_header(path: Path):
    """So that each header is compiled at least once with nothing before it."""
    own = csource.name(path.with_suffix(".h"))
    if (CSRC / own).exists():
        assert csource.includes(path)[0][0] == own


# -- Python ---------------------------------------------------------------------------------------

PACKAGE = ROOT / "src/usertcp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Who may import a module by name; everybody may import what is not listed.
IMPORTERS = {
    "usertcp._core": ("_binding",),
    "usertcp._whitebox": (),
    "asyncio": ("_driver", "asyncio/", "testing/", "cli/"),
    "trio": ("_driver", "trio/", "testing/", "cli/"),
    "uvloop": ("cli/", "testing/"),
    "pyroute2": ("netns.py", "_claims.py", "cli/", "testing/"),
    "click": ("cli/", "__main__.py"),
    "rich": ("cli/",),
    "cffi": (),
}
# The layers below _driver know nothing of AnyIO but the exceptions that users see.
BELOW_ANYIO = ("_binding.py", "_stack.py", "_events.py", "_address.py", "_config.py")


def python_name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported(path: Path) -> set[str]:
    """Absolute names of what the module imports at run time, `a.b` and `a` for `import a.b`."""
    package = ["usertcp", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def imports(path: Path, module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in imported(path))


@pytest.mark.parametrize("module", IMPORTERS)
def test_only_its_importers_import(module: str):
    strangers = [
        python_name(path)
        for path in MODULES
        if imports(path, module) and not python_name(path).startswith(IMPORTERS[module] or ("//",))
    ]
    assert strangers == []


@pytest.mark.parametrize("name", BELOW_ANYIO)
def test_no_anyio_below_the_driver(name: str):
    assert not imports(PACKAGE / name, "anyio")


@pytest.mark.parametrize("path", MODULES, ids=python_name)
def test_library_never_imports_the_command_line(path: Path):
    name = python_name(path)
    if not name.startswith(("cli/", "__main__.py")):
        assert not imports(path, "usertcp.cli")
    if not name.startswith(("cli/", "__main__.py", "testing/")):
        assert not imports(path, "usertcp.testing")
