"""What mkdocs calls: adds the pages that are made from the code, and fills the navigation."""

from pathlib import Path
from typing import Any

import reference
from mkdocs.structure.files import File


def on_config(config: Any) -> Any:
    """Under "Recipes" are the pages of docs/recipes, by their names."""
    docs = Path(config["docs_dir"])
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.glob("recipes/*.md"))
    for entry in config["nav"]:
        if "Recipes" in entry:
            entry["Recipes"] = pages
    return config


def on_files(files: Any, config: Any) -> Any:
    for name, make in reference.PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files
