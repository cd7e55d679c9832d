"""Writes the source of the site: a tree of pages for Sphinx, and the files that are served as they are."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from a3crepro.common.errors import UserError
from builder import claims, gallery, interactive, reference, tables
from builder.places import CODE, LINK, ROOT, Links, place_of

INSERTIONS: dict[str, Callable[..., str]] = {
    "claims": claims.page,
    "counts": claims.counts,
    "gallery": gallery.page,
    "figure": interactive.figure,
    "contents": lambda: contents(),
}
"""What `<!-- site: NAME ARGUMENTS -->` in a page stands for."""
INSERTION = re.compile(r"<!-- site: (\w+)((?: [\w-]+)*) -->")
SERVED = PurePosixPath("_extra")
"""The directory of files that are served as they are."""
OTHER_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
INDEX = "docs/README.md"

TITLES = {"README.md": "Getting started"}
"""Titles of pages that have another one in the repository."""

Pages = dict[PurePosixPath, str | bytes | Path]
"""Content by place: a text, bytes, or a file to copy."""


def contents() -> str:
    """Tables of contents with the sections of `docs/README.md`, and the pages that it links to."""
    file = PurePosixPath(INDEX)
    links, seen, parts = Links(file), {"index.md"}, []
    text = (ROOT / file).read_text()
    for block in re.split(r"^(?=## )", text, flags=re.M):
        caption = block.partition("\n")[0].removeprefix("## ") if block.startswith("## ") else "Start"
        found = [links.target(at[2]).partition("#")[0] for at in LINK.finditer(block)]
        entries = [page for page in dict.fromkeys(found) if page.endswith((".md", ".ipynb")) and page not in seen]
        seen.update(entries)
        if entries:
            parts.append(tables.toctree([page.rpartition(".")[0] for page in entries], caption))
    generated = ["api/index", "figures/index", "results/index", "cite"]
    return "\n\n".join([*parts, tables.toctree([page for page in generated if f"{page}.md" not in seen], "Reference")])


def inserted(text: str) -> str:
    """A text with what is generated for it."""

    def insertion(found: re.Match[str]) -> str:
        if found[1] not in INSERTIONS:
            raise UserError(f"<!-- site: {found[1]} -->: allowed: {', '.join(INSERTIONS)}")
        return INSERTIONS[found[1]](*found[2].split())

    return INSERTION.sub(insertion, text)


def page_of(file: PurePosixPath) -> str:
    """The page of a Markdown file of the repository."""
    text = (ROOT / file).read_text()
    if title := TITLES.get(str(file)):
        text = re.sub(r"^# .*", f"# {title}", text, count=1)
    return inserted(Links(file).page_text(text))


def notebook(file: PurePosixPath) -> str:
    """A notebook, with the links of its texts."""
    found, links = json.loads((ROOT / file).read_text()), Links(file)
    for cell in found["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = links.page_text("".join(cell["source"]))
    return json.dumps(found)


def written_pages() -> Iterator[tuple[PurePosixPath, str]]:
    """The pages that are written by hand."""
    docs = sorted(file.relative_to(ROOT) for file in (ROOT / "docs").rglob("*.md"))
    for path in [*map(Path, OTHER_PAGES), *docs]:
        file = PurePosixPath(path.as_posix())
        if str(file) != INDEX:
            yield place_of(file), page_of(file)
    for path in sorted((ROOT / "docs").glob("*.ipynb")):
        file = PurePosixPath(path.relative_to(ROOT).as_posix())
        yield place_of(file), notebook(file)


def all_pages() -> Pages:
    """The whole source of the site."""
    pages: Pages = {PurePosixPath("cite.md"): reference.citation_page()}
    for made in (written_pages(), tables.figure_pages(), tables.result_pages(), reference.api_pages()):
        pages.update(made)
    pages.update(tables.files_to_copy())
    pages.update(code_to_include())
    pages[PurePosixPath("CITATION.cff")] = ROOT / "CITATION.cff"
    pages[place_of(PurePosixPath("LICENSE"))] = ROOT / "LICENSE"
    for place, file in (*tables.pictures_to_copy(), *gallery.files_to_copy()):
        pages[SERVED / place] = file
    pages[SERVED / "_static" / "plotly.min.js"] = plotly()
    return pages


def code_to_include() -> Iterator[tuple[PurePosixPath, Path]]:
    """Files of code, which pages include parts of."""
    for directory in CODE:
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix in (".py", ".yaml"):
                yield place_of(PurePosixPath(path.relative_to(ROOT).as_posix())), path


def plotly() -> bytes:
    """Plotly's script, from its package."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


def stage(directory: Path) -> None:
    """Writes the source of the site to a new directory."""
    for place, content in all_pages().items():
        file = directory / place
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
