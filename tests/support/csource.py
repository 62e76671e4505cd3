"""The C tree as text for tests/meta and tools/: files, includes, functions with their sizes.

No C parser: comments, strings and preprocessor lines are blanked (line numbers stay), and what
then stands before a `{` at the outermost level and ends in `)` is a function.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

_BLANKED = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)
_DIRECTIVE = re.compile(r"^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
_HEAD = re.compile(r"(\w+)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*$")
_KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "do", "else"}


@dataclass(frozen=True)
class Function:
    path: str
    name: str
    line: int
    lines: int
    parameters: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.name}"


def files(*patterns: str) -> list[Path]:
    """Files of csrc/ that match, sorted; all .c and .h without a pattern."""
    found = {path for pattern in patterns or ("*/*.c", "*/*.h") for path in CSRC.glob(pattern)}
    return sorted(found)


def name(path: Path) -> str:
    """`tcp/seq.h` for csrc/tcp/seq.h."""
    return path.relative_to(CSRC).as_posix()


def _spaces(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def code(text: str, *, directives: bool = False) -> str:
    """The text with comments and literals (and preprocessor lines) blanked; lines stay in place."""
    text = _BLANKED.sub(_spaces, text)
    return text if directives else _DIRECTIVE.sub(_spaces, text)


def includes(path: Path) -> tuple[list[str], list[str]]:
    """(ours, the system's) header names that the file includes."""
    found = _INCLUDE.findall(re.sub(r"/\*.*?\*/", _spaces, path.read_text(), flags=re.DOTALL))
    return [ours for ours, _ in found if ours], [theirs for _, theirs in found if theirs]


def _split(parameters: str) -> int:
    depth, count = 0, 1
    for char in parameters:
        depth += (char == "(") - (char == ")")
        count += char == "," and depth == 0
    return 0 if parameters.strip() in ("", "void") else count


def functions(path: Path) -> Iterator[Function]:
    """Every function that the file defines."""
    text = _ATTRIBUTE.sub(_spaces, code(path.read_text()))
    depth, since, opened = 0, 0, None
    for match in re.finditer(r"[{};]", text):
        at, char = match.start(), match[0]
        if char == "{":
            if depth == 0:
                head = text[since:at]
                found = _HEAD.search(head)
                opened = None
                if found and found[1] not in _KEYWORDS:
                    begin = since + len(head) - len(head.lstrip())
                    opened = (found[1], text.count("\n", 0, begin) + 1, _split(found[2]))
            depth += 1
            continue
        depth -= char == "}"
        if depth == 0:
            if char == "}" and opened:
                function, line, count = opened
                end = text.count("\n", 0, at) + 1
                yield Function(name(path), function, line, end - line + 1, count)
                opened = None
            since = at + 1


def matches(pattern: str, paths: list[Path], *, directives: bool = False) -> list[str]:
    """`file:line: text` of each line of code that matches."""
    regex, found = re.compile(pattern), []
    for path in paths:
        lines = code(path.read_text(), directives=directives).splitlines()
        found += [
            f"{name(path)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if regex.search(line)
        ]
    return found
