"""Tables that a script makes itself from its sweep's runs, because no other has their columns."""

from collections.abc import Callable, Sequence
from pathlib import Path

from a3crepro.common.errors import UserError
from a3crepro.experiments import results
from a3crepro.experiments.figures import scale_of

COLLECT = "--collect"


def own_tables(
    arguments: Sequence[str], sweep: str, tables: Sequence[str], collect: Callable[[str, Path], None]
) -> tuple[str, Path]:
    """The scale of a command line and the directory of its tables, which `--collect` makes first.

    Raises:
      UserError: an unknown argument, or a table that is missing.
    """
    scale = scale_of([word for word in arguments if word != COLLECT])
    directory = results.RESULTS / sweep / scale
    if COLLECT in arguments:
        collect(scale, directory)
    if not all((directory / f"{table}.csv").exists() for table in tables):
        raise UserError(f"{directory}: nothing has been collected at this scale")
    return scale, directory
