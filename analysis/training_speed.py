"""Figures 4 and S10: score over hours for several numbers of actor-learners, in the paper and in this reproduction.

  python analysis/training_speed.py [scale=laptop]

Hours are virtual for runs in virtual time, where a step lasts as long as on the paper's machine, so that the speed-up
is threads x data efficiency by construction.
"""

from functools import partial

import numpy as np

from a3crepro.experiments.figures import METHODS, OWN, THREADS, Page, Results, markdown, number, paper, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import fitted_speed
from a3crepro.runs.command_line import run_command
from analysis._threads import BANDS, Curves, chosen_runs, draw, own_curves, paper_curves

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


def own_throughput(results: Results, method: str, threads: int) -> float:
    """The median throughput of this reproduction's runs; NaN if there are none."""
    runs = select(chosen_runs(results), method=method, threads=threads)
    return float((runs["frames"] / runs["seconds"]).median()) * 3600 / 1e6


@script("training_speed", "thread_scaling")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table of throughputs."""
    from_paper = paper_curves(paper("fig4_s10_training_speed"), "hours")
    epochs = paper_curves(paper("fig3_s9_data_efficiency"), "epoch")
    virtual = results is not None and results.is_virtual
    xlabel = f"hours ({OWN}: virtual)" if virtual else "hours"
    figure = draw(from_paper, own_curves(results, "seconds", 3600.0), xlabel, logarithmic=True)
    sources = {"paper": lambda method, threads: throughput(from_paper, epochs, method, threads)}
    if results:
        sources[f"{OWN}, virtual hours" if virtual else OWN] = partial(own_throughput, results)
    rows = [
        [source, name, *(number(of(method, threads)) for threads in THREADS)]
        for source, of in sources.items()
        for method, name in METHODS.items()
    ]
    header = ["", "method", *(f"{threads} actor-learners" for threads in THREADS)]
    caption = (
        "Million frames an hour of all actor-learners together; a frame is a quarter of a step on Atari, a step on "
        "MinAtar. The paper's: from the fit of Figures 4 and S10 to Figures 3 and S9; median of 5 games. "
        f"{BANDS}"
    )
    return figure, markdown(header, rows), caption


if __name__ == "__main__":
    run_command(main, __doc__)
