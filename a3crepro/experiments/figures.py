"""Shared parts of the figures: the paper's data, committed results, colours, files and captions."""

import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from a3crepro.experiments.results import (
    DIAGNOSTICS,
    RESULTS,
    committed,
    final_scores,
    overridden,
    read_table,
    representative_runs,
    short_commits,
)
from a3crepro.experiments.state import in_core_time, in_frames
from a3crepro.experiments.statistics import MIN_RUNS, band
from a3crepro.runs.arguments import one_of, only_own_arguments
from a3crepro.runs.files import trying, write_text

FIGURES = RESULTS.parent / "figures"
OWN = "a3crepro"
"""The name of this reproduction's data, beside the paper's."""
NOTHING = f"{OWN}: nothing has been run at this scale"
PAPER_ONLY = "the paper's data only"
"""Title of a figure without runs."""
METHODS = {"one_step_q": "one-step Q", "one_step_sarsa": "one-step Sarsa", "n_step_q": "n-step Q", "a3c": "A3C"}
TITLES = {
    "beam_rider": "Beam Rider", "breakout": "Breakout", "enduro": "Enduro", "pong": "Pong", "qbert": "Q*bert",
    "seaquest": "Seaquest", "space_invaders": "Space Invaders", "minatar/asterix": "Asterix (MinAtar)",
    "minatar/breakout": "Breakout (MinAtar)", "minatar/freeway": "Freeway (MinAtar)",
    "minatar/seaquest": "Seaquest (MinAtar)", "minatar/space_invaders": "Space Invaders (MinAtar)",
}  # fmt: skip
"""Display names of the games in figures and tables, by `env`."""
NAMES = {"dqn": "DQN", **METHODS}
PALETTE = sns.color_palette("colorblind")
COLORS = dict(zip(METHODS, PALETTE, strict=False)) | {"dqn": (0.35, 0.35, 0.35)}
DASHES = {"one_step_q": (4, 2), "one_step_sarsa": (1, 1), "n_step_q": (6, 1, 1, 1), "a3c": (), "dqn": (2, 3)}
"""Line styles per method, to distinguish lines in print."""
LEVELS: dict[str, dict[str, Any]] = {
    "expert": {"color": "black", "linestyle": "--"}, "blind": {"color": "0.5", "linestyle": "-."},
    "random": {"color": "0.5", "linestyle": ":"},
}  # fmt: skip
"""Styles of the scores of policies that do not learn."""
WIDTH = 9.2
"""Of figures with a column per method, in inches: nearly that of a page, so that their text is read at its size."""
THREADS = (1, 2, 4, 8, 16)
SETTING = ["env", "method", "network", "optimizer", "epsilon", "execution", "threads", "learning_rate", "budget"]
"""Columns that are equal for runs that differ only in seed, besides those of overridden keys."""
MIN_SCORES = {"pong": -21.0}
"""Minimum scores of games where it is not 0."""


def paper(name: str) -> pd.DataFrame:
    """Reads one of the tables of the paper's data."""
    return pd.read_csv(committed("paper", f"{name}.csv"))


def reference(env: str, policy: str = "random", column: str = "score_mean") -> float:
    """The mean score of a policy that does not learn, by `env`; NaN if unknown.

    Atari's scores are the paper's, for a random policy from no-op starts; `sweeps/references.py` measures the others.
    """
    games = paper("human_random_scores").set_index("game")["noop_random"]
    if env in games and policy == "random":
        return float(games[env])
    table = references(env)
    found = table.loc[(table["policy"] == policy) & table["env.action_repeat"].isna(), column]
    return float(found.iloc[0]) if len(found) else float("nan")


def random_score(env: str) -> float:
    """The mean score of a random policy, from which learning is counted; 0 where it was not measured."""
    score = reference(env)
    return 0.0 if math.isnan(score) else score


def references(env: str) -> pd.DataFrame:
    """All measurements of `sweeps/references.py` in an environment: a row per policy."""
    table = pd.read_csv(committed("references", "references.csv"))
    return table[table["env"] == env]


class Results(NamedTuple):
    """The committed tables of a sweep."""

    runs: pd.DataFrame
    """A row per run; `score` is its final score, the mean of the last evaluations, and `last_score` the last one's."""
    scores: pd.DataFrame
    notes: dict[str, Any]
    diagnostics: pd.DataFrame = pd.DataFrame(columns=["run", "frames", "entropy", "share_above_epsilon"])
    """A row per evaluation of the runs that recorded their policy and optimizer."""
    scale: str = ""
    """The scale at which the sweep was run."""

    def evaluations(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """The scores of the policy in these or all runs, without those of training, where each thread has its own ε."""
        scores = self.scores[self.scores["score_type"] != "training"]
        return scores if runs is None else scores[scores["run"].isin(runs["run"])]

    def representative(self, cell: list[str], runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """The representative runs, of all or of these, in each cell; see `representative_runs`."""
        return representative_runs(self.runs if runs is None else runs, cell, self.notes["best"])

    @property
    def is_virtual(self) -> bool:
        """Whether all times are virtual."""
        return set(self.runs["execution"]) == {"virtual_time"}

    def caption(self) -> str:
        """What was run, in one line."""
        runs = self.runs
        frames = f"{in_frames(runs['frames'].sum())} frames"
        equal = runs.groupby([*SETTING, *overridden(runs)], dropna=False)["seed"].nunique()
        seeds = " to ".join(dict.fromkeys(str(n) for n in (equal.min(), equal.max())))
        seeds += f" seed{'' if equal.max() == 1 else 's'} a setting"
        commits = ", ".join(short_commits(runs["commit"])) or "unknown"
        policies = ", ".join(sorted(runs["score_type"].unique()))
        hours = in_core_time(runs["core_seconds"].sum())
        missing = self.notes["planned"] - self.notes["runs"]
        left = f", {missing} of {self.notes['planned']} runs missing" if missing else ""
        return (
            f"{OWN}: {len(runs)} runs{left}, {frames}, {seeds}, execution {', '.join(runs['execution'].unique())}, "
            f"policies scored: {policies}, commit {commits}, "
            f"{runs['date'].min()[:10]} to {runs['date'].max()[:10]}, {hours}"
        )


def load_results(sweep: str, scale: str) -> Results | None:
    """Loads the tables of a sweep at a scale; None if there are none."""
    directory = committed(sweep, scale)
    if not (directory / "runs.csv").exists():
        return None
    runs, scores = (read_table(directory / f"{name}.csv") for name in ("runs", "scores"))
    runs["last_score"] = runs["score"]
    runs["score"] = runs["run"].map(final_scores(scores))
    found = Results(runs, scores, json.loads((directory / "notes.json").read_text()), scale=scale)
    if not (directory / DIAGNOSTICS).exists():
        return found
    return found._replace(diagnostics=read_table(directory / DIAGNOSTICS))


def scale_of(arguments: Sequence[str]) -> str:
    """The scale from a script's command line, `laptop` by default.

    Raises:
      UserError: any other argument.
    """
    scales = one_of(("smoke", "laptop", "paper", "earlier"), "laptop")
    scale: str = only_own_arguments(arguments, {"scale": scales}).scale
    return scale


def set_style() -> None:
    """Sets the style of the figures made from now on."""
    sns.set_theme(style="whitegrid", context="paper", font_scale=0.8, rc={"svg.hashsalt": "a3crepro"})


def panels(columns: int, rows: int = 1, width: float = 2.3, height: float = 2.1) -> tuple[Figure, Any]:
    """A figure with a grid of axes, which is an array [rows, columns]; width and height of a panel in inches."""
    set_style()
    size = (width * columns, height * rows)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def rows_of_panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes in rows of `columns`; what is left of the last row stays empty."""
    figure, grid = panels(columns, math.ceil(count / columns), width, height)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:count])


class Panel(NamedTuple):
    """One of the panels of `method_panels`."""

    axes: Axes
    method: str
    game: str
    source: str


def method_panels(
    sources: Mapping[str, Iterable[str]], methods: Sequence[str], xlabel: str, share_x: bool = False
) -> tuple[Figure, list[Panel]]:
    """A column of panels per method, with a row per source and game.

    Args:
      sources: for each source, its games; the name is appended to the game's, so that the paper's is empty.
      methods: by `algo`.
      xlabel: the label of all horizontal axes.
      share_x: a game's and method's panels share both axes, not only that of the score.
    """
    rows = [(game, source) for source, games in sources.items() for game in games]
    figure, grid = panels(len(methods), len(rows), WIDTH / len(methods), 1.8)
    found = []
    first: dict[tuple[str, str], Axes] = {}
    for line, (game, source) in zip(grid, rows, strict=True):
        for axes, method in zip(line, methods, strict=True):
            found.append(Panel(axes, method, game, source))
            earlier = first.setdefault((game, method), axes)
            if axes is not earlier:
                axes.sharey(earlier)
                if share_x:
                    axes.sharex(earlier)
        line[0].set_ylabel(f"{TITLES[game]}{source}".replace(", ", ",\n") + "\nscore")
    for axes, method in zip(grid[0], methods, strict=True):
        axes.set_title(METHODS[method])
    for axes in grid[-1]:
        axes.set_xlabel(xlabel)
    return figure, found


def draw_runs(axes: Axes, x: np.ndarray, scores: np.ndarray, color: Any, **style: Any) -> None:
    """Draws the mean of curves and its 95 % interval, shaded; fewer than `MIN_RUNS` runs are thin lines instead.

    Args:
      axes: the panel.
      x: [points].
      scores: [runs, points].
      color: of all lines.
      style: of the mean's line.
    """
    if len(scores) >= MIN_RUNS:
        axes.fill_between(x, *band(scores), color=color, alpha=0.15, linewidth=0)
    elif len(scores) > 1:
        axes.plot(x, scores.T, color=color, linewidth=0.5, alpha=0.6)
    axes.plot(x, scores.mean(0), color=color, **{"linewidth": 1.2, **style})


def draw_paper(axes: Axes, curve: pd.DataFrame, x: str, method: str, **style: Any) -> None:
    """Draws a curve of the paper over column `x`, with its band, which the paper does not define."""
    style = {"dashes": DASHES[method], "label": NAMES[method], **style}
    axes.plot(curve[x], curve["score"], color=COLORS[method], linewidth=1, **style)
    axes.fill_between(curve[x], curve["band_low"], curve["band_high"], color=COLORS[method], alpha=0.15, linewidth=0)


def draw_level(axes: Axes, score: float, policy: str, label: str | None = None) -> None:
    """Draws the score of a policy that does not learn, one of `LEVELS`, as a horizontal line."""
    axes.axhline(score, linewidth=0.8, label=label, **LEVELS[policy])


def save(figure: Figure, name: str, scale: str, table: str, caption: str) -> None:
    """Writes the figure as PNG and SVG and its table as Markdown; prints the table, the caption and the file names."""
    stem = FIGURES / (name if scale == "laptop" else f"{name}-{scale}")
    files = [stem.with_suffix(suffix) for suffix in (".png", ".svg", ".md")]
    with trying("write", stem):
        FIGURES.mkdir(exist_ok=True)
        figure.savefig(files[0], dpi=150)
        figure.savefig(files[1], metadata={"Date": None})
    plt.close(figure)
    text = f"{table.rstrip()}\n\n{caption}\n"
    write_text(files[2], text)
    print(text)
    print_written(*files)


Page = tuple[Figure, str, str]
"""A figure, its table and its caption."""
Draw = Callable[[Results | None], Page]


def script(name: str, sweep: str | None = None) -> Callable[[Draw], Callable[[], None]]:
    """Makes the main function of a script from a function that draws the figure of this name.

    The script takes a scale, reads the tables of the sweep (by default the one with the figure's name), and writes the
    figure and its table; the caption ends with what was run.
    """

    def decorate(draw: Draw) -> Callable[[], None]:
        @functools.wraps(draw)
        def main() -> None:
            scale = scale_of(sys.argv[1:])
            results = load_results(sweep or name, scale)
            figure, table, caption = draw(results)
            if results is None:
                figure.suptitle(PAPER_ONLY, fontsize="medium")
            save(figure, name, scale, table, f"{caption} {results.caption() if results else NOTHING}".strip())

        return main

    return decorate


def print_written(*files: Path) -> None:
    """Prints the names of the files written."""
    print(f"written: {', '.join(map(str, files))}")


def markdown(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def number(value: float, digits: int = 1) -> str:
    """Formats a number for a table; a dash for NaN."""
    return "–" if value != value else f"{value:.{digits}f}"


def legend_below(figure: Figure, all_axes: Iterable[Axes], what: str | None = None, columns: int | None = None) -> None:
    """One legend for all panels, with every label in any of them; a single line by default."""
    found = {}
    for axes in all_axes:
        found.update({label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)})
    figure.legend(
        found.values(), found.keys(), title=what, loc="outside lower center", ncol=columns or len(found), frameon=False
    )
