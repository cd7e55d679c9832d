"""Pages of the generated tables: those beside the figures, and the files in `results/`."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from builder.claims import pages
from builder.places import FENCE, PICTURE, PICTURES, PLACES, ROOT, Links, relative, title_of

TABLES = (".csv", ".json", ".jsonl")
KIB = 1024


def toctree(entries: list[str], caption: str = "") -> str:
    """A table of contents that is shown beside the pages, not within."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *entries, "```"])


def shown_on(name: str) -> tuple[str, str]:
    """The page that shows a figure, and its alternative text there; empty if no page shows it."""
    for page, text in pages().items():
        for alternative, target in PICTURE.findall(FENCE.sub("", text)):
            if PurePosixPath(target).stem == name and target.startswith("../figures/"):
                return page, alternative
    return "", ""


def figure_page(file: Path) -> str:
    """The page of the table that belongs to a figure."""
    place, (page, alternative) = PurePosixPath("figures", file.name), shown_on(file.stem)
    links = Links(place)
    title = title_of(pages()[page]) if page else sentence_of(file.stem)
    parts = [f"# {title}: full table"]
    if page:
        about = relative(PurePosixPath(page), place)
        parts += [f"[What it shows]({about}).", links.picture(alternative, f"{file.stem}.png")]
    return "\n\n".join([*parts, links.page_text(file.read_text())])


def sentence_of(name: str) -> str:
    """A file's name as a title."""
    text = name.replace("_", " ").replace("-", ", ")
    return text[:1].upper() + text[1:]


def figure_pages() -> Iterator[tuple[PurePosixPath, str]]:
    """The pages of all tables in `figures/`, and their index."""
    files = [file for file in sorted((ROOT / "figures").glob("*.md")) if f"figures/{file.name}" not in PLACES]
    for file in files:
        yield PurePosixPath("figures", file.name), figure_page(file)
    text = "# Full tables\n\nThe table that belongs to each figure, as the scripts in `analysis/` write it.\n\n"
    titles = [title_of(figure_page(file)).removesuffix(": full table") for file in files]
    names = [
        f"{title} ({file.stem.replace('_', ' ')})" if titles.count(title) > 1 else title
        for title, file in zip(titles, files, strict=True)
    ]
    rows = "\n".join(f"- [{name}]({file.name})" for name, file in zip(names, files, strict=True))
    yield PurePosixPath("figures/index.md"), f"{text}{rows}\n\n{toctree([file.stem for file in files])}\n"


def size(file: Path) -> str:
    """The size of a file, in KiB."""
    return f"{max(1, round(file.stat().st_size / KIB)):,} KiB"


def rows_of(file: Path) -> str:
    """The number of rows of a table."""
    lines = file.read_bytes().count(b"\n")
    return f"{lines - 1:,}" if file.suffix == ".csv" else f"{lines:,}" if file.suffix == ".jsonl" else ""


def result_files(directory: Path) -> list[Path]:
    """The tables of a directory of `results/`."""
    return sorted(file for file in directory.rglob("*") if file.suffix in TABLES)


def results_page(directory: Path) -> str:
    """The page of a directory of `results/`: its own README, if it has one, and its files to download."""
    place = PurePosixPath("results", f"{directory.name}.md")
    readme = directory / "README.md"
    if readme.exists():
        text = Links(PurePosixPath("results", directory.name, "README.md"), place).page_text(readme.read_text())
    else:
        sweep = directory.name
        text = f"# {sentence_of(sweep)}\n\nMade by `python sweeps/{sweep}.py` and `python analysis/collect.py {sweep}`."
    text = re.sub(r"^# (.*)", r"# Data: \1", text, count=1)
    lines = ["| file | rows | size |", "|---|---|---|"]
    for file in result_files(directory):
        name = file.relative_to(directory).as_posix()
        lines.append(f"| [{name}]({directory.name}/{name}) | {rows_of(file)} | {size(file)} |")
    return f"{text.rstrip()}\n\n## Files\n\n" + "\n".join(lines) + "\n"


def result_pages() -> Iterator[tuple[PurePosixPath, str]]:
    """The pages of all directories of `results/`, and their index."""
    directories = [path for path in sorted((ROOT / "results").iterdir()) if path.is_dir() and result_files(path)]
    for directory in directories:
        yield PurePosixPath("results", f"{directory.name}.md"), results_page(directory)
    file = PurePosixPath("results/README.md")
    text = Links(file).page_text((ROOT / file).read_text()).replace("# Results", "# Data", 1)
    rows = "\n".join(f"- [`{directory.name}`]({directory.name}.md)" for directory in directories)
    yield PurePosixPath("results/index.md"), f"{text}\n{rows}\n\n{toctree([path.name for path in directories])}\n"


def files_to_copy() -> Iterator[tuple[PurePosixPath, Path]]:
    """Tables to download."""
    for file in result_files(ROOT / "results"):
        yield PurePosixPath(file.relative_to(ROOT).as_posix()), file


def pictures_to_copy() -> Iterator[tuple[PurePosixPath, Path]]:
    """Figures, at the places where pages show them."""
    for directory in ("figures", "results"):
        for file in sorted((ROOT / directory).rglob("*")):
            if file.suffix in PICTURES:
                yield PurePosixPath(file.relative_to(ROOT).as_posix()), file
