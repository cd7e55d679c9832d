"""Sphinx's configuration of the documentation site; `docs/build.py` makes its source and runs it."""

import importlib
import re
from pathlib import Path
from typing import Any

from numba.core.dispatcher import Dispatcher
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.ext.autodoc import FunctionDocumenter

from a3crepro import __version__
from builder.reference import pages_by_layer

GYMNASIUM = ("close", "render", "reset", "step")
"""Methods that environments have from Gymnasium."""
plain: dict[str, list[str]] = {}
"""Texts of attributes, by name, while Napoleon looks at them."""
HERE = Path(__file__).resolve().parent

project = "a3crepro"
author = "the a3crepro contributors"
copyright = "the a3crepro contributors"
version = release = __version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_extra"]
smartquotes = False  # `--flag` is no dash

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["ref.python"]  # names that several modules have

default_role = "code"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "a3crepro"
html_favicon = str(HERE / "static" / "favicon.svg")
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
copybutton_prompt_text = "$ "


class KernelDocumenter(FunctionDocumenter):
    """Documents a function compiled by Numba like the Python function that it was."""

    objtype = "kernel"
    directivetype = "function"
    priority = 20

    @classmethod
    def can_document_member(cls, member: Any, membername: str, isattr: bool, parent: Any) -> bool:
        return isinstance(member, Dispatcher)

    def import_object(self, raiseerror: bool = False) -> bool:
        found = super().import_object(raiseerror)
        self.object = getattr(self.object, "py_func", self.object)
        return bool(found)


def hide_signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> Any:
    """Leaves out the signature of a configuration class, whose fields are listed below it."""
    if what == "class" and isinstance(obj, type) and issubclass(obj, BaseModel):
        return "", None
    return None


def as_in_gymnasium(obj: Any, name: str) -> bool:
    """Whether a method's documentation is Gymnasium's, whose markup is another."""
    return name.rpartition(".")[2] in GYMNASIUM and getattr(obj, "__doc__", None) is None


def process_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Makes a docstring of plain text reStructuredText, before Napoleon reads its sections."""
    if what == "method" and as_in_gymnasium(obj, name):
        lines[:] = ["As in Gymnasium."]
    lines[:] = [bars_outside_code(line) for line in lines]
    if what in ("attribute", "property", "data"):
        plain[name] = list(lines)


def restore_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undoes what Napoleon makes of an attribute's text: it takes what is before a colon for a type."""
    lines[:] = plain.pop(name, lines)


def bars_outside_code(line: str) -> str:
    """A line in which a bar, as in π(a|s), is no substitution."""
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in re.split(r"(`[^`]*`)", line))


def complete(model: type[BaseModel]) -> None:
    """Completes all configuration classes, which Pydantic does on first use: autodoc changes what it needs for that."""
    for each in model.__subclasses__():
        if each.__module__.startswith("a3crepro."):
            each.model_rebuild()
        complete(each)


def setup(app: Sphinx) -> None:
    """Registers what is above."""
    for modules in pages_by_layer().values():
        for module in modules:
            importlib.import_module(module)
    complete(BaseModel)
    app.add_autodocumenter(KernelDocumenter)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)
    app.connect("autodoc-process-signature", hide_signature)
