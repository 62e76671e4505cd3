"""Tables of results that are kept as they were: rows of a dataclass of numbers and names as TSV."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any


def read(path: Path, kind: Any) -> list[Any]:
    """Rows of `kind`, whose fields are annotated with what makes them of text."""
    kinds = {field.name: field.type for field in fields(kind)}
    with path.open(newline="") as file:
        return [
            kind(**{name: kinds[name](text) for name, text in row.items()})
            for row in csv.DictReader(file, delimiter="\t")
        ]


def write(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """One line each; all have the same names."""
    first, *rest = rows
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, first, delimiter="\t", lineterminator="\n")
        out.writeheader()
        out.writerows([first, *rest])
