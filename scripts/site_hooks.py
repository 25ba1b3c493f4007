"""What mkdocs calls while it builds the site (mkdocs.yml): pages that do not lie in docs/, and
links as GitHub has them.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
#: Page of the site -> its file in the repository; all others are in docs/ under the same name.
ROOT_PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "tests.md": "tests/README.md",
}
PACKAGES = ("dse", "hdl", "cnn_eval", "reports")
#: Without pages of their own: what `dse` itself offers, and the command line.
ROOF = ("dse.api", "dse.cli")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)(?=[)#])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The reference has a page for each room."""
    pages: list[Any] = [
        {package: [{room: f"reference/{room}.md"} for room in rooms(package)]}
        for package in PACKAGES
    ]
    assert config.nav is not None
    config.nav.append({"Reference": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that do not lie in docs/."""
    for page, path in ROOT_PAGES.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for package in PACKAGES:
        for room in rooms(package):
            text = f"# {room}\n\n::: {room}\n"
            files.append(File.generated(config, f"reference/{room}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links between files of the repository become links between pages."""
    here = page.file.src_uri

    def linked(match: re.Match[str]) -> str:
        folder = posixpath.dirname(ROOT_PAGES.get(here, f"docs/{here}"))
        target = page_of(posixpath.normpath(posixpath.join(folder, match[1])))
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return LINK.sub(linked, markdown)


def page_of(path: str) -> str:
    """The page, or the picture, of the site that a file of the repository is; what is none keeps
    its name, and mkdocs says that it is missing.
    """
    for page, file in ROOT_PAGES.items():
        if path == file:
            return page
    return path.removeprefix("docs/")


def rooms(package: str) -> list[str]:
    """The package, if it has public names of its own, and its rooms that have."""
    modules = [ROOT / package / "__init__.py", *sorted(ROOT.glob(f"{package}/*/__init__.py"))]
    found = {".".join(module.parent.relative_to(ROOT).parts): module for module in modules}
    return [room for room, module in found.items() if room not in ROOF and public_names(module)]


def public_names(module: Path) -> bool:
    """Whether a module has an `__all__` that is not empty."""
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "__all__"
        and isinstance(node.value, ast.List)
        and bool(node.value.elts)
        for node in ast.parse(module.read_text(encoding="utf-8")).body
    )
