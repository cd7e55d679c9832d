"""Figures 3 and S9: score over epochs for several numbers of actor-learners, in the paper and in this reproduction.

python analysis/data_efficiency.py [scale=laptop]
"""

from __future__ import annotations

import sys

from a3crepro.experiments.figures import (
    METHODS,
    NOTHING,
    THREADS,
    TITLES,
    load_results,
    markdown,
    number,
    paper,
    save,
    scale_of,
)
from a3crepro.experiments.statistics import part_of_rise
from a3crepro.runs.command_line import run_command
from analysis._threads import BANDS, LEGEND, Curves, SpeedUp, draw, mean_ratio, our_curves, paper_curves, speedup

SHARE = 0.9
"""Share of the rise of the curve with one actor-learner."""


def efficiency(curves: Curves, method: str, threads: int) -> float:
    """Epochs with one actor-learner over epochs with n to the same score: the mean over games of the mean curves."""
    return mean_ratio(curves, method, threads, SHARE)


def rows(curves: Curves, whose: str) -> list[list[str]]:
    """A row per method."""
    return [
        [whose, name, *(number(efficiency(curves, method, threads)) for threads in THREADS[1:])]
        for method, name in METHODS.items()
    ]


def our_rows(curves: Curves) -> list[list[str]]:
    """A row per game and method, with intervals over runs."""
    games = sorted({game for game, _, n in curves if n == 1})
    return [
        [f"ours, {TITLES[game]}", name, *(str(our_efficiency(curves, game, method, n) or "–") for n in THREADS[1:])]
        for game in games
        for method, name in METHODS.items()
    ]


def our_efficiency(curves: Curves, game: str, method: str, threads: int) -> SpeedUp | None:
    """The same for one game, from all runs instead of their mean; None if it was not run."""
    if (game, method, 1) not in curves:
        return None
    level = part_of_rise(curves[game, method, 1].scores.mean(0), SHARE)
    return speedup(curves, {game: level}, method, threads)


def main() -> None:
    """Draws the figure and writes its table."""
    scale = scale_of(sys.argv[1:])
    results = load_results("thread_scaling", scale)
    from_paper, own = paper_curves(paper("fig3_s9_data_efficiency"), "epoch"), our_curves(results, "epoch")
    figure = draw(from_paper, own, "epochs (1M agent steps)")
    header = ["", "method", *(f"{threads} actor-learners" for threads in THREADS[1:])]
    table = markdown(header, [*rows(from_paper, "paper, 5 games"), *our_rows(own)])
    caption = (
        f"Epochs with one actor-learner over epochs with n, to {SHARE:.0%} of the rise of the curve with one; mean "
        f"over games. Ours: {LEGEND} {BANDS} {results.caption() if results else NOTHING}"
    )
    save(figure, "data_efficiency", scale, table, caption)


if __name__ == "__main__":
    run_command(main, __doc__)
