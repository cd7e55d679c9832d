"""Pages of the API, from the docstrings, by layer; and how to cite."""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from builder.places import ROOT
from builder.tables import toctree

PACKAGE = "a3crepro"
FOR_CHILDREN = ("a3crepro.common._imports_begin", "a3crepro.environments._control_suite", "a3crepro.runs._preload")
"""Modules that only child processes import, because of what importing them does."""
COMMANDS = "commands"
"""The page of the modules that are commands, which are no packages."""


def layers() -> list[str]:
    """The packages and modules of the project, the uppermost layer first, as the import linter knows them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [name for layer in contract["layers"] for name in re.split(r"\s*[:|]\s*", layer)]


def modules_of(package: str) -> list[str]:
    """The modules of a package, with the packages within."""
    found = importlib.import_module(package)
    within = (module.name for module in pkgutil.walk_packages(found.__path__, f"{package}."))
    return [package, *(name for name in within if name not in FOR_CHILDREN)]


def summary(module: str) -> str:
    """The first sentence of a module's docstring."""
    text = " ".join((importlib.import_module(module).__doc__ or "").strip().split("\n\n")[0].split())
    return text.replace("*", r"\*")


OPTIONS = (
    ":members:",
    ":exclude-members: model_config",
    ":show-inheritance:",
    ":member-order: bysource",
    ":ignore-module-all:",
)


def contents(module: str) -> str:
    """What is in a module."""
    options = "\n".join(f"   {option}" for option in OPTIONS)
    return f"```{{eval-rst}}\n.. automodule:: {module}\n{options}\n```"


def pages_by_layer() -> dict[str, list[str]]:
    """The modules on each page; one page for all commands, and one for each package."""
    found: dict[str, list[str]] = {}
    for name in layers():
        if (ROOT / PACKAGE / name).is_dir():
            found[name] = modules_of(f"{PACKAGE}.{name}")
        elif name != "__main__":
            found.setdefault(COMMANDS, []).append(f"{PACKAGE}.{name}")
    return found


def api_pages() -> Iterator[tuple[PurePosixPath, str]]:
    """A page for each layer, and their index."""
    rows = ["| layer | contents |", "|---|---|"]
    layers = pages_by_layer()
    for name, modules in layers.items():
        title = "Commands" if name == COMMANDS else f"`{PACKAGE}.{name}`"
        about = "What you type: train, evaluate, benchmark, play, export." if name == COMMANDS else summary(modules[0])
        rows.append(f"| [{title}]({name}.md) | {about} |")
        own, others = ([], modules) if name == COMMANDS else (modules[:1], modules[1:])
        parts = [f"# {title}", *map(contents, own), *(f"## `{module}`\n\n{contents(module)}" for module in others)]
        text = "\n\n".join(parts)
        yield PurePosixPath("api", f"{name}.md"), text + "\n"
    intro = (
        "# Reference\n\nFrom the docstrings, layer by layer. Each layer imports only those below it. Three functions "
        "are at the top: `a3crepro.train`, `a3crepro.load_policy` and `a3crepro.compose` "
        "([example](../getting_started.md#use-from-python))."
    )
    yield PurePosixPath("api/index.md"), "\n\n".join([intro, "\n".join(rows), toctree(list(layers))]) + "\n"


# ---- How to cite -----------------------------------------------------------------------------------------------------


def bibtex(kind: str, key: str, fields: dict[str, Any]) -> str:
    """An entry of a bibliography."""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def people(authors: list[dict[str, str]]) -> str:
    """Authors as BibTeX has them; a group's name is kept together."""
    names = [
        f"{each['family-names']}, {each['given-names']}" if "family-names" in each else f"{{{each['name']}}}"
        for each in authors
    ]
    return " and ".join(names)


def citation_page(file: Path = ROOT / "CITATION.cff") -> str:
    """The page on how to cite, from the citation file."""
    own = yaml.safe_load(file.read_text())
    (paper,) = own["references"]
    software = {
        "author": people(own["authors"]), "title": f"{{{own['title']}}}", "version": own["version"],
        "license": own["license"],
    }  # fmt: skip
    article = {
        "author": people(paper["authors"]), "title": f"{{{paper['title']}}}", "booktitle": paper["collection-title"],
        "volume": paper["volume-title"], "pages": f"{paper['start']}--{paper['end']}", "year": paper["year"],
        "url": paper["url"],
    }  # fmt: skip
    entries = [bibtex("software", "a3crepro", software), bibtex("inproceedings", "mnih2016asynchronous", article)]
    message = f"{own['message']} [`CITATION.cff`](CITATION.cff) has the same in a form that programs read."
    return f"# How to cite\n\n{message}\n\n```bibtex\n{entries[0]}\n\n{entries[1]}\n```\n"
