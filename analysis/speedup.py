"""Table 2: how much sooner n actor-learners reach a reference score than one, the paper's and ours.

  python analysis/speedup.py [scale=laptop]

The paper does not give its reference scores. Ours are 30, 50 and 70 % of an anchor that is one for all methods and
numbers of actor-learners: the mean of the four methods' final scores with one. A run that never gets there is kept as
one that takes longer than the whole run, and the speed-up is then marked as a bound.
"""

from __future__ import annotations

import sys

import numpy as np
from _threads import LEGEND, Curves, mean_ratio, our_curves, paper_curves, speedup
from matplotlib.axes import Axes

from a3crepro.cli import run_command
from a3crepro.figures import COLORS as METHOD_COLORS
from a3crepro.figures import (
    METHODS,
    NOTHING,
    THREADS,
    legend_below,
    markdown,
    number,
    ours,
    panels,
    paper,
    save,
    scale_of,
)

SHARES = (0.3, 0.5, 0.7)
PAPER_SHARE = 0.85
"""Of the rise with one actor-learner: a reference for which the paper's own curves can be read."""


def paper_speedup(curves: Curves, method: str, threads: int) -> float:
    """From the hourly curves of Figures 4 and S10, mean over games."""
    return mean_ratio(curves, method, threads, PAPER_SHARE)


def anchor(curves: Curves, game: str) -> float:
    """The mean over methods of the mean final score with one actor-learner."""
    return float(np.mean([curves[game, method, 1].scores[:, -1].mean() for method in METHODS]))


def complete(curves: Curves) -> list[str]:
    """Games for which all methods have runs with one actor-learner."""
    return sorted({game for game, _, _ in curves if all((game, method, 1) in curves for method in METHODS)})


def our_rows(curves: Curves) -> list[list[str]]:
    """A row a method and level."""
    found = []
    for game in complete(curves):
        for share in SHARES:
            level = share * anchor(curves, game)
            for method, name in METHODS.items():
                cells = [
                    str(speedup(curves, game, method, n, level)) if (game, method, n) in curves else "–"
                    for n in THREADS[1:]
                ]
                found.append([f"ours, {share:.0%} of the anchor ({level:.2f})", name, *cells])
    return found


def draw(axes: Axes, lines: dict[str, dict[int, float]], name: str) -> None:
    """Speed-up over the number of actor-learners, beside as many times as fast."""
    axes.plot(THREADS, THREADS, color="0.6", linewidth=1, linestyle=":", label="n times as fast")
    for method, values in lines.items():
        axes.plot([1, *values], [1, *values.values()], "o-", color=METHOD_COLORS[method], markersize=3, linewidth=1,
                  label=METHODS[method])  # fmt: skip
    axes.set(xscale="log", yscale="log", title=name, xlabel="actor-learners")
    axes.set_xticks(THREADS, [str(n) for n in THREADS])
    axes.set_yticks((1, 2, 4, 8, 16, 32), ["1", "2", "4", "8", "16", "32"])
    axes.minorticks_off()


def main() -> None:
    """Draws the figure and writes the table."""
    scale = scale_of(sys.argv[1:])
    mine = ours("thread_scaling", scale)
    table_2 = paper("table2_thread_speedup").pivot(index="method", columns="threads", values="speedup")
    theirs, own = paper_curves(paper("fig4_s10_training_speed"), "hours"), our_curves(mine, "seconds")
    read = {method: {n: paper_speedup(theirs, method, n) for n in THREADS[1:]} for method in METHODS}
    printed = {method: {n: float(table_2.loc[method, n]) for n in THREADS[1:]} for method in METHODS}
    games = complete(own)
    figure, grid = panels(["printed", "read", *(f"{share}" for share in SHARES if games)], 1, 2.6, 2.6)
    draw(grid[0][0], printed, "paper, Table 2 (7 games)")
    draw(grid[0][1], read, f"paper, {PAPER_SHARE:.0%} in Figure 4 (5 games)")
    for axes, share in zip(grid[0][2:], SHARES, strict=False):
        draw(axes, _our_lines(own, games[0], share), f"ours, {share:.0%} of the anchor")
    grid[0][0].set_ylabel("speed-up")
    legend_below(figure, grid[0][:1])
    rows = [["paper, Table 2", METHODS[method], *map(str, values.values())] for method, values in printed.items()]
    rows += [
        [f"paper, {PAPER_SHARE:.0%} of the rise in Figure 4", METHODS[method], *map(number, values.values())]
        for method, values in read.items()
    ]
    caption = (
        f"Ours: ratio of times. {LEGEND} In virtual time a speed-up is threads x data efficiency by construction. "
        f"{mine.caption() if mine else NOTHING}"
    )
    header = ["reference", "method", *(f"{n} actor-learners" for n in THREADS[1:])]
    save(figure, "speedup", scale, markdown(header, [*rows, *our_rows(own)]), caption)


def _our_lines(curves: Curves, game: str, share: float) -> dict[str, dict[int, float]]:
    """Bounds are in the table alone."""
    level = share * anchor(curves, game)
    return {
        method: {
            n: found.ratio.value
            for n in THREADS[1:]
            if (game, method, n) in curves and not (found := speedup(curves, game, method, n, level)).mark
        }
        for method in METHODS
    }


if __name__ == "__main__":
    run_command(main, __doc__)
