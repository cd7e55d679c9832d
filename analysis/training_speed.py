"""Figures 4 and S10: score over hours for several numbers of actor-learners, in the paper and in this reproduction.

  python analysis/training_speed.py [scale=laptop]

Hours are virtual for runs in virtual time, where a step lasts as long as on the paper's machine, so that the speed-up
is threads x data efficiency by construction.
"""

from __future__ import annotations

import sys

import numpy as np

from a3crepro.experiments.figures import (
    METHODS,
    NOTHING,
    THREADS,
    Results,
    load_results,
    markdown,
    number,
    paper,
    save,
    scale_of,
)
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import fitted_speed
from a3crepro.runs.command_line import run_command
from analysis._threads import BANDS, Curves, chosen_runs, draw, our_curves, paper_curves

FRAMES = 4.0
"""Million frames per epoch."""


def throughput(by_hours: Curves, by_epochs: Curves, method: str, threads: int) -> float:
    """Million frames per hour: the median over games of the speeds that map one figure's curves onto the other's."""
    speeds = []
    for game in {game for game, _, _ in by_hours}:
        key = (game, method, threads)
        if key in by_hours and key in by_epochs:
            one, other = by_hours[key], by_epochs[key]
            speeds.append(fitted_speed(one.x, one.scores.mean(0), other.x, other.scores.mean(0))[0])
    return FRAMES * float(np.median(speeds)) if speeds else float("nan")


def our_throughput(results: Results, method: str, threads: int) -> float:
    """The median throughput of this reproduction's runs; NaN if there are none."""
    runs = select(chosen_runs(results), method=method, threads=threads)
    return float((runs["frames"] / runs["seconds"]).median()) * 3600 / 1e6


def main() -> None:
    """Draws the figure and writes the table of throughputs."""
    scale = scale_of(sys.argv[1:])
    results = load_results("thread_scaling", scale)
    from_paper = paper_curves(paper("fig4_s10_training_speed"), "hours")
    epochs = paper_curves(paper("fig3_s9_data_efficiency"), "epoch")
    own = our_curves(results, "seconds", 3600.0)
    virtual = results is not None and set(results.runs["execution"]) == {"virtual_time"}
    figure = draw(from_paper, own, "hours (ours: virtual)" if virtual else "hours", logarithmic=True)
    header = ["", "method", *(f"{threads} actor-learners" for threads in THREADS)]
    rows = [
        ["paper", name, *(number(throughput(from_paper, epochs, method, threads)) for threads in THREADS)]
        for method, name in METHODS.items()
    ]
    if results:
        whose = "ours, virtual hours" if virtual else "ours"
        rows += [
            [whose, name, *(number(our_throughput(results, method, threads)) for threads in THREADS)]
            for method, name in METHODS.items()
        ]
    caption = (
        "Million frames an hour of all actor-learners together; a frame is a quarter of a step on Atari, a step on "
        "MinAtar. The paper's: from the fit of Figures 4 and S10 to Figures 3 and S9; median of 5 games. "
        f"{BANDS} {results.caption() if results else NOTHING}"
    )
    save(figure, "training_speed", scale, markdown(header, rows), caption)


if __name__ == "__main__":
    run_command(main, __doc__)
