"""Builds the documentation site from this checkout: `python docs/build.py [out=site]`.

Needs `pip install -e ".[docs]"`. Read the site with `python -m http.server -d site`, at http://localhost:8000. What it
says of claims is computed from `results/` during the build. Neither the build nor the pages fetch anything.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

from a3crepro.common.errors import RunError, UserError
from a3crepro.runs.arguments import Key, only_own_arguments
from a3crepro.runs.command_line import run_command

NEEDED = ("sphinx", "myst_nb", "furo", "sphinx_design", "sphinx_copybutton", "plotly", "optuna")


def out_directory(text: str) -> Path:
    """A directory to build in: a new or empty one, or an earlier site; else a `ValueError`."""
    path = Path(text).resolve()
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / "objects.inv").exists())):
        raise ValueError(f"should be a new directory or an earlier site, got {text!r}")
    return path


def build(out: Path, work: Path) -> None:
    """Builds the site in a directory; if that fails, what was there stays.

    Args:
      out: the directory of the site.
      work: a directory for the source of the site and other files in between, emptied first.

    Raises:
      UserError: a package is missing, or a page has a link that leads nowhere.
      RunError: Sphinx has warnings.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(f'{missing[0]} is not installed; install what the site needs: pip install -e ".[docs]"')
    from builder.staging import stage
    from sphinx.cmd.build import build_main

    shutil.rmtree(work, ignore_errors=True)
    source, html, configuration = work / "source", work / "html", Path(__file__).resolve().parent / "builder"
    stage(source)
    words = ["-b", "html", "-W", "--keep-going", "-q", "-j", "2", "-c", str(configuration)]
    words += ["-d", str(work / "doctrees"), "-D", f"html_extra_path={source / '_extra'}"]
    if build_main([*words, str(source), str(html)]):
        raise RunError("the site was not built without warnings; they are above")
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(html, out)


def main() -> None:
    """Builds the site."""
    own = only_own_arguments(sys.argv[1:] or ["out=site"], {"out": Key(out_directory)})
    build(own.out, Path(__file__).resolve().parents[1] / "build" / "site")
    print(f"written: {own.out}; read it with python -m http.server -d {own.out}")


if __name__ == "__main__":
    run_command(main, __doc__)
