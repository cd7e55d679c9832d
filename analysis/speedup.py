"""Table 2: speed-up of n actor-learners over one in reaching a reference score, in the paper and in this reproduction.

  python analysis/speedup.py [scale=laptop]

The paper does not give its reference scores. Here they are 30, 50 and 70 % of an anchor shared by all methods and
numbers of actor-learners: the mean of the four methods' final scores with one. A run that never reaches the score
counts with its whole length, and the speed-up is marked as a bound.

A speed-up is the product of two factors: more frames per second, and fewer frames to the score. In virtual time the
first equals the number of actor-learners by construction, and only the second is measured; the last table has both
factors, for the paper and for this reproduction.
"""

from collections.abc import Mapping
from functools import partial

from matplotlib.axes import Axes

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, THREADS, TITLES, Page, Results, markdown, number, script
from a3crepro.experiments.results import select
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command
from analysis._threads import (
    CELL,
    LEGEND,
    Curves,
    SpeedUp,
    chosen_runs,
    levels,
    mean_ratio,
    own_curves,
    paper_curves,
    speedup,
)
from analysis.data_efficiency import SHARE, efficiency
from analysis.training_speed import own_throughput

SHARES = (0.3, 0.5, 0.7)
VIRTUAL = ":\nn x data efficiency"
MARKERS = dict(zip(METHODS, "o^sD", strict=True))
PAPER_SHARE = 0.85
"""Share of the rise with one actor-learner: a reference that the paper's own curves allow to be read off."""


paper_speedup = partial(mean_ratio, share=PAPER_SHARE)
"""The speed-up in the hourly curves of Figures 4 and S10, as the mean over games."""


def own_rows(curves: Curves, anchors: Curves, note: str = "") -> list[list[str]]:
    """A row per level, game and method, preceded by one over all games if there are several.

    Args:
      curves: whose speed-ups they are.
      anchors: the curves that set the levels.
      note: added to the reference's name.
    """
    found = []
    for share in SHARES:
        to = levels(anchors, share)
        parts = {f"{TITLES[game]}, {share:.0%} ({level:.2f})": {game: level} for game, level in to.items()}
        if len(to) > 1:
            parts = {f"all games, {share:.0%}": to, **parts}
        for name, part in parts.items():
            for method in METHODS:
                cells = [str(speedup(curves, part, method, n) or "–") for n in THREADS[1:]]
                found.append([f"{OWN}, {name}{note}", METHODS[method], *cells])
    return found


def rates(results: Results) -> str:
    """The rates of each cell's representative runs, and their final scores."""
    rows = []
    for (env, method, threads), runs in chosen_runs(results).groupby(CELL):
        tried = select(results.runs, env=env, method=method, threads=threads)["learning_rate"]
        least, most = runs["learning_rate"].min(), runs["learning_rate"].max()
        end = "the least tried" if least == tried.min() else "the greatest tried" if most == tried.max() else ""
        rate = " to ".join(dict.fromkeys(f"{value:.1e}" for value in (least, most)))
        rows.append([TITLES[str(env)], METHODS[str(method)], threads, rate, end, len(runs),
                     str(interval_of_mean(runs["score"]))])  # fmt: skip
    return markdown([OWN, "method", "actor-learners", "learning rate", "", "runs", "final score"], rows)


MAX_THREADS = THREADS[-1]
MIDDLE = 0.5
"""The share, of `SHARES`, used for the factors."""


def factors(results: Results | None) -> list[list[str]]:
    """A row per method: both factors of the speed-up with most actor-learners, their product, and the measured one.

    The paper's throughput is the median over games of the fits of Figure 4 to Figure 3.
    """
    derived = figures.paper("derived_throughput").groupby(["method", "threads"])["Mframes_per_hour_fit"].median()
    epochs = paper_curves(figures.paper("fig3_s9_data_efficiency"), "epoch")
    table_2 = figures.paper("table2_thread_speedup").set_index(["method", "threads"])["speedup"]
    rows = []
    for method, name in METHODS.items():
        faster, fewer = derived[method, MAX_THREADS] / derived[method, 1], efficiency(epochs, method, MAX_THREADS)
        rows.append(["paper, Atari", name, *map(number, (faster, fewer, faster * fewer, table_2[method, MAX_THREADS]))])
    if results is None:
        return rows
    frames, seconds = own_curves(results, "frames"), own_curves(results, "seconds")
    to = levels(frames, MIDDLE)
    for method, name in METHODS.items():
        fewer, sooner = (speedup(curves, to, method, MAX_THREADS) for curves in (frames, seconds))
        if fewer is None or sooner is None:
            continue
        faster = own_throughput(results, method, MAX_THREADS) / own_throughput(results, method, 1)
        product = number(faster * fewer.ratio.value)
        rows.append([f"{OWN}, {MIDDLE:.0%} of the anchor", name, number(faster), str(fewer), product, str(sooner)])
    return rows


Ratio = SpeedUp | float
PapersRatios = Mapping[str, Mapping[int, float]]


def draw(axes: Axes, lines: Mapping[str, Mapping[int, Ratio]], name: str) -> None:
    """Draws the speed-up over the number of actor-learners, beside linear speed-up. Open markers are bounds."""
    axes.plot(THREADS, THREADS, color="0.6", linewidth=1, linestyle=":", label="n times as fast")
    for place, (method, values) in enumerate(lines.items()):
        style = {"color": figures.COLORS[method], "linewidth": 1.0}
        dashes = figures.DASHES[method]
        middles = {n: one.ratio.value if isinstance(one, SpeedUp) else one for n, one in values.items()}
        axes.plot([1, *middles], [1, *middles.values()], dashes=dashes, **style)
        axes.plot([], [], MARKERS[method], dashes=dashes, markersize=3.5, label=METHODS[method], **style)
        for n, one in values.items():
            x = n * 1.04 ** (place - 1.5)  # side by side
            filled = not isinstance(one, SpeedUp) or not one.mark
            axes.plot([x], [middles[n]], MARKERS[method], markersize=3.5, color=style["color"],
                      markerfacecolor=style["color"] if filled else "white")  # fmt: skip
            if isinstance(one, SpeedUp):
                axes.plot([x, x], one.ratio[1:], **style)
    axes.set(xscale="log", yscale="log", title=name, xlabel="actor-learners", ylim=(0.9, 45))
    axes.set_xticks(THREADS, [str(n) for n in THREADS])
    axes.set_yticks((1, 2, 4, 8, 16, 32), ["1", "2", "4", "8", "16", "32"])
    axes.minorticks_off()


def own_lines(curves: Curves, share: float) -> dict[str, dict[int, Ratio]]:
    """The lines over all games."""
    to = levels(curves, share)
    return {method: {n: found for n in THREADS[1:] if (found := speedup(curves, to, method, n))} for method in METHODS}


def tables(printed: PapersRatios, read: PapersRatios, results: Results | None) -> str:
    """All speed-ups, this reproduction's rates, and the factors of the speed-ups with the most actor-learners."""
    rows = [["paper, Table 2", METHODS[method], *map(str, values.values())] for method, values in printed.items()]
    rows += [
        [f"paper, {PAPER_SHARE:.0%} of the rise in Figure 4", METHODS[method], *map(number, values.values())]
        for method, values in read.items()
    ]
    header = ["reference", "method", *(f"{n} actor-learners" for n in THREADS[1:])]
    own, at_common = (own_curves(results, "seconds", common=common) for common in (False, True))
    own_found = own_rows(own, own) + own_rows(at_common, own, ", at a common rate")
    parts = [
        markdown(header, [*rows, *own_found]),
        *([rates(results)] if results else []),
    ]
    times = f"with {MAX_THREADS}: times as many frames a second"
    header = ["reference", "method", times, "times as few frames", "product", "speed-up"]
    return "\n\n".join([*parts, markdown(header, factors(results))])


@script("speedup", "thread_scaling")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table."""
    table_2 = figures.paper("table2_thread_speedup").pivot(index="method", columns="threads", values="speedup")
    from_paper, own = paper_curves(figures.paper("fig4_s10_training_speed"), "hours"), own_curves(results, "seconds")
    read = {method: {n: paper_speedup(from_paper, method, n) for n in THREADS[1:]} for method in METHODS}
    printed = {method: {n: float(table_2.loc[method, n]) for n in THREADS[1:]} for method in METHODS}
    virtual = VIRTUAL if results and results.is_virtual else ""
    lines = {
        "paper, Table 2 (7 games)": printed,
        f"paper, {PAPER_SHARE:.0%} in Figure 4 (5 games)": read,
        **{f"{OWN}, {share:.0%} of the anchor{virtual}": own_lines(own, share) for share in (SHARES if own else ())},
    }
    figure, grid = figures.panels(len(lines), width=2.6, height=2.8)
    for axes, (name, values) in zip(grid[0], lines.items(), strict=True):
        draw(axes, values, name)
    for axes in grid[0][1:]:
        axes.sharey(grid[0][0])
    grid[0][0].set_ylabel("speed-up")
    figures.legend_below(figure, grid[0][:1])
    caption = (
        f"{OWN}: ratio of times to a share of the anchor. {LEGEND} Open markers: bounds. In virtual time a speed-up is "
        "threads x data efficiency by construction: the factor of the frames a second is assumed, not measured. The "
        "paper's factors: throughput by the fit of Figures 4 and S10 to Figures 3 and S9, median of 5 games; frames to "
        f"{SHARE:.0%} of the rise of the curve with one; the speed-up is Table 2's."
    )
    return figure, tables(printed, read, results), caption


if __name__ == "__main__":
    run_command(main, __doc__)
