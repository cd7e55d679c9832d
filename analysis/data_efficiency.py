"""Figures 3 and S9: score over epochs for several numbers of actor-learners, in the paper and in this reproduction.

python analysis/data_efficiency.py [scale=laptop]
"""

from functools import partial

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, THREADS, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.statistics import part_of_rise
from a3crepro.runs.command_line import run_command
from analysis._threads import BANDS, LEGEND, Curves, SpeedUp, draw, mean_ratio, own_curves, paper_curves, speedup

SHARE = 0.9
"""Share of the rise of the curve with one actor-learner."""


efficiency = partial(mean_ratio, share=SHARE)
"""Epochs with one actor-learner over epochs with n to the same score: the mean over games of the mean curves."""


def rows(from_paper: Curves, own: Curves) -> list[list[str]]:
    """The paper's mean over games by method; then a row per game and method, with intervals over runs."""
    found = [
        ["paper, 5 games", name, *(number(efficiency(from_paper, method, n)) for n in THREADS[1:])]
        for method, name in METHODS.items()
    ]
    for game in sorted({game for game, _, n in own if n == 1}):
        for method, name in METHODS.items():
            cells = [str(own_efficiency(own, game, method, n) or "–") for n in THREADS[1:]]
            found.append([f"{OWN}, {TITLES[game]}", name, *cells])
    return found


def own_efficiency(curves: Curves, game: str, method: str, threads: int) -> SpeedUp | None:
    """Data efficiency on one game, from all runs instead of their mean; None if it was not run."""
    if (game, method, 1) not in curves:
        return None
    level = part_of_rise(curves[game, method, 1].scores.mean(0), SHARE)
    return speedup(curves, {game: level}, method, threads)


@script("data_efficiency", "thread_scaling")
def main(results: Results | None) -> Page:
    """Draws the figure and writes its table."""
    from_paper, own = paper_curves(figures.paper("fig3_s9_data_efficiency"), "epoch"), own_curves(results, "epoch")
    figure = draw(from_paper, own, "million agent steps (the paper's epochs)")
    header = ["", "method", *(f"{threads} actor-learners" for threads in THREADS[1:])]
    caption = (
        f"Epochs with one actor-learner over epochs with n, to {SHARE:.0%} of the rise of the curve with one; mean "
        f"over games. {OWN}: {LEGEND} {BANDS}"
    )
    return figure, markdown(header, rows(from_paper, own)), caption


if __name__ == "__main__":
    run_command(main, __doc__)
