"""Where a file of the repository is in the site, and the links between pages.

The Markdown files of the repository link to each other as files. In the site, they are pages of one tree: `docs/` is
its root, figures and tables keep their directories, and a directory of `results/` is a page that lists its files.
"""

import html
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from a3crepro.common.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
PLACES = {
    "README.md": "getting_started.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "cite.md",
    "LICENSE": "LICENSE.txt",
    "docs/README.md": "index.md",
    "docs/search.md": "hyperparameter_search.md",
    "figures": "figures/index.md",
    "figures/claims.md": "claims.md",
    "results": "results/index.md",
    "results/README.md": "results/index.md",
    "agents": "gallery.md",
}
"""Files and directories that have another place than `place_of` derives; Sphinx has a `search` of its own."""
PICTURES = (".svg", ".png")
CODE = ("a3crepro", "conf")
"""Directories of code that pages include."""
FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1`*[ ]*$", re.S | re.M)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^)\s]+)\)$", re.M)
INCLUDED = re.compile(r"^(```\{literalinclude\} )(\S+)$", re.M)
REPOSITORY_ONLY = re.compile(r"<!-- repository -->.*?<!-- /repository -->\n*", re.S)


def place_of(file: PurePosixPath) -> PurePosixPath:
    """The place in the site of a file or directory of the repository; both paths are relative.

    Raises:
      UserError: it is not part of the site.
    """
    if place := PLACES.get(str(file)):
        return PurePosixPath(place)
    if file.parts[0] == "docs":
        return file.relative_to("docs")
    if file.parts[0] == "figures":
        drawn = file.with_suffix(".svg")
        return drawn if file.suffix == ".png" and (ROOT / drawn).exists() else file
    if file.parts[0] == "results":
        return file.with_suffix(".md") if (ROOT / file).is_dir() and len(file.parts) == 2 else file
    if file.parts[0] == "agents":
        return PurePosixPath("gallery.md")
    if file.parts[0] in CODE:
        return PurePosixPath("_code") / file
    raise UserError(f"{file}: the site has no page for it")


def relative(target: PurePosixPath, page: PurePosixPath) -> str:
    """A link to a place in the site from a page of the site."""
    return os.path.relpath(target, page.parent).replace(os.sep, "/")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Changes a Markdown text, but not its blocks of code."""
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence.group()]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


class Links:
    """Turns the links of a file of the repository into those of its page.

    Args:
      file: the file, relative to the repository.
      page: the place of its page; by default, `place_of` it.
    """

    def __init__(self, file: PurePosixPath, page: PurePosixPath | None = None) -> None:
        self.file, self.page = file, place_of(file) if page is None else page

    def file_of(self, target: str) -> PurePosixPath:
        """The file or directory that a relative link leads to, relative to the repository.

        Raises:
          UserError: there is none.
        """
        path = PurePosixPath(os.path.normpath(self.file.parent / target))
        if path.parts[:1] == ("..",) or not (ROOT / path).exists():
            raise UserError(f"{self.file}: the link to {target} leads nowhere")
        return path

    def target(self, target: str) -> str:
        """The link in the site for a link in the file."""
        path, sign, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", target):
            return target
        place = place_of(self.file_of(path))
        return (relative(place, self.page) if place != self.page or not anchor else "") + sign + anchor

    def picture(self, alternative: str, target: str) -> str:
        """A picture; figures are links to themselves, to be looked at closely, and drawings take the page's colour."""
        file = self.file_of(target)
        if file.parts[:2] == ("docs", "images"):
            return raw(f'<figure class="drawing">{drawing(ROOT / file, alternative)}</figure>')
        url = html.escape(relative(place_of(file), self.page))
        text = html.escape(alternative)
        return raw(f'<a class="figure" href="{url}"><img src="{url}" alt="{text}" loading="lazy"></a>')

    def page_text(self, text: str) -> str:
        """The Markdown of the page from that of the file."""
        text = REPOSITORY_ONLY.sub("", text)
        text = INCLUDED.sub(lambda found: found[1] + self.target(found[2]), text)

        def change(part: str) -> str:
            part = PICTURE.sub(lambda found: self.picture(found[1], found[2]), part)
            return outside_code(part, lambda rest: LINK.sub(lambda at: at[1] + self.target(at[2]) + at[3], rest))

        return outside_code(text, change)


def drawing(file: Path, alternative: str) -> str:
    """An SVG file to be placed within a page, without the style that it has as a file of its own."""
    text = re.sub(r"<style>.*?</style>\s*", "", file.read_text(), flags=re.S)
    return text.strip().replace("<svg ", f'<svg role="img" aria-label="{html.escape(alternative)}" ', 1)


def raw(text: str) -> str:
    """HTML in a page."""
    return f"```{{raw}} html\n{text}\n```"


def title_of(text: str) -> str:
    """The first heading of a page."""
    found = re.search(r"^# (.+)$", FENCE.sub("", text), re.M)
    return found[1] if found else ""
