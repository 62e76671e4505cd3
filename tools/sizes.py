"""Prints the largest files and longest functions of the project, against the guide's numbers."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import csource, sizes  # noqa: E402 (a script of the checkout)


def main() -> None:
    paths = [*csource.files(), *sizes.python_files()]
    for suffix, limit in sizes.FILE_LINES.items():
        counted = [
            (len(path.read_text().splitlines()), path) for path in paths if path.suffix == suffix
        ]
        total = sum(count for count, _ in counted)
        print(f"{suffix} files: {len(counted)}, {total} lines; largest (at most {limit}):")
        for count, path in sorted(counted, reverse=True)[:5]:
            print(f"  {count:5} {path.relative_to(ROOT)}")
    for title, suffixes in (("C", (".c", ".h")), ("Python", (".py",))):
        found = [f for path in paths if path.suffix in suffixes for f in sizes.functions(path)]
        longest = sorted(found, key=lambda f: f.lines, reverse=True)[:5]
        print(f"{title} functions: {len(found)}; longest (at most {sizes.FUNCTION}):")
        for function in longest:
            print(f"  {function.lines:5} {function}")


if __name__ == "__main__":
    main()
