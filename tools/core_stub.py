"""Writes src/usertcp/_core.pyi, the typed stub of the compiled module, from what cffi reads.

core_stub.py           writes the stub
core_stub.py --check   says whether it is current (tests/meta/test_core_stub.py does this too)
"""

import keyword
import runpy
import sys
from pathlib import Path
from typing import Any

from cffi import model

NUMBERS = (
    "int",
    "size_t",
    *(f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)),
    "ut_handle",
)
Q_CONST = 1  # cffi.cparser's bit
ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "src/usertcp/_core.pyi"

HEAD = '''\
"""The compiled engine, as a type checker sees it. Made by tools/core_stub.py; do not edit.

A struct's class stands for a pointer to it, as `ffi.new("name *")` makes one, or for the struct
inside another; `CArray[T]` for an array or a pointer to a number. Meaning: csrc/include/usertcp.h.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeVar, overload

from typing_extensions import Buffer

_T = TypeVar("_T")

class CData:
    def __bool__(self) -> bool: ...

class CArray(CData, Generic[_T]):
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> _T: ...
    @overload
    def __getitem__(self, index: slice, /) -> CArray[_T]: ...
    def __setitem__(self, index: int | slice, value: Any, /) -> None: ...
    def __add__(self, offset: int, /) -> CArray[_T]: ...

class CBuffer:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int | slice, /) -> bytes: ...
    def __setitem__(self, index: int | slice, value: bytes, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
'''

FFI_TAIL = """\
    def from_buffer(
        self, cdecl: str, data: Buffer, require_writable: bool = ...
    ) -> CArray[Any]: ...
    def buffer(self, cdata: CData, size: int = ...) -> CBuffer: ...
    def string(self, cdata: CData, maxlen: int = ...) -> bytes: ...
    def unpack(self, cdata: CData, length: int) -> bytes: ...
    def memmove(self, dest: CData | Buffer, src: CData | Buffer, n: int) -> None: ...
    def gc(self, cdata: _T, destructor: Callable[[_T], object] | None, size: int = ...) -> _T: ...
    def release(self, cdata: CData) -> None: ...
    def cast(self, cdecl: str, value: Any) -> Any: ...
    def addressof(self, cdata: Any, *fields: str | int) -> Any: ...
    def sizeof(self, cdecl: str | CData) -> int: ...
    def offsetof(self, cdecl: str, *fields: str | int) -> int: ...

ffi: Final[FFI]
lib: Final[Lib]
"""


def is_number(tp: Any) -> bool:
    return isinstance(tp, (model.PrimitiveType, model.EnumType)) and tp.name != "char"


def name_of(tp: Any) -> str:
    """The stub's name of a struct: its typedef or its tag."""
    return str(tp.name or tp.forcename).removeprefix("$")


def result(tp: Any) -> str:
    if isinstance(tp, model.VoidType):
        return "None"
    if is_number(tp):
        return "int"
    if isinstance(tp, model.PrimitiveType):
        return "bytes"
    if isinstance(tp, model.StructOrUnion):
        return name_of(tp)
    if isinstance(tp, model.ArrayType):
        return f"CArray[{result(tp.item)}]"
    if isinstance(tp, model.PointerType):
        to = tp.totype
        if isinstance(to, model.StructOrUnion):
            return name_of(to)
        if isinstance(to, model.VoidType):
            return "CData"
        return f"CArray[{result(to)}]"
    return "CData"


def parameter(tp: Any) -> str:
    if not isinstance(tp, model.PointerType):
        return result(tp)
    to = tp.totype
    if isinstance(to, model.StructOrUnion):
        return f"{name_of(to)} | CArray[{name_of(to)}]" if to.fldnames else name_of(to)
    if isinstance(to, model.VoidType) or getattr(to, "name", "") in ("char", "uint8_t"):
        return "bytes | CData" if tp.quals & Q_CONST else "CData"  # cffi takes bytes as read-only
    return result(tp)


def generate() -> str:
    build = runpy.run_path(str(ROOT / "csrc/_build.py"), run_name="__stub__")
    parser = build["core"]._parser
    structs: dict[str, Any] = {}
    functions: list[tuple[str, Any]] = []
    for key, (tp, _) in parser._declarations.items():
        kind, name = key.split(" ", 1)
        if kind == "function":
            functions.append((name, tp))
        elif isinstance(tp, model.StructOrUnion):
            structs.setdefault(name_of(tp), tp)
    out = [HEAD]
    for name, tp in structs.items():
        if not tp.fldnames:
            out.append(f"class {name}(CData): ...")
            continue
        out.append(f"class {name}(CData):")
        out += [
            f"    {field}: {result(ftype)}"
            for field, ftype in zip(tp.fldnames, tp.fldtypes, strict=True)
            if not keyword.iskeyword(field)  # reached by getattr only
        ]
    out.append("\nclass Lib:")
    out += [
        f"    {name}: Literal[{value}]" if value >= 0 else f"    {name}: int"
        for name, value in sorted(parser._int_constants.items(), key=lambda item: item[0])
        if not name.startswith("_")
    ]
    for name, tp in sorted(functions):
        args = [f"a{i}: {parameter(arg)}" for i, arg in enumerate(tp.args)]
        line = ", ".join(["self", *args, "/"]) if args else "self"
        out.append(f"    def {name}({line}) -> {result(tp.result)}: ...")
    out.append("\nclass FFI:\n    NULL: Any\n    error: type[Exception]")
    for name, tp in structs.items():
        if tp.fldnames:
            for form, kind in ((f"{name} *", name), (f"{name}[]", f"CArray[{name}]")):
                out.append("    @overload")
                out.append(
                    f'    def new(self, cdecl: Literal["{form}"], init: Any = ...) -> {kind}: ...'
                )
    for name in NUMBERS:
        out.append("    @overload")
        out.append(
            f'    def new(self, cdecl: Literal["{name} *", "{name}[]"], init: Any = ...)'
            " -> CArray[int]: ..."
        )
    out.append("    @overload")
    out.append('    def new(self, cdecl: Literal["char[]"], init: Any = ...) -> CArray[bytes]: ...')
    return "\n".join([*out, FFI_TAIL])


def main() -> int:
    text = generate()
    if "--check" in sys.argv[1:]:
        if not STUB.exists() or STUB.read_text() != text:
            print(f"{STUB.relative_to(ROOT)} is not current: run tools/core_stub.py")
            return 1
        return 0
    STUB.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
