"""Learning with and without autograd: four methods on MinAtar Breakout.

python analysis/implementations.py [scale=laptop]
"""

from a3crepro.experiments.figures import METHODS, PALETTE, Page, Results, legend_below, markdown, panels, script
from a3crepro.experiments.results import select
from a3crepro.runs.command_line import run_command

KEY = "network.implementation"
PATHS = {"": "without autograd", "module": "by autograd"}
"""Labels by the value of this key."""
STYLES = (("-", "o"), ("--", "^"))
"""Lines of training episodes and markers of evaluations, by path."""


@script("implementations")
def main(results: Results | None) -> Page:
    """Draws training scores as lines and evaluations as points, a colour per path, and tabulates the final scores."""
    figure, grid = panels(len(METHODS), width=2.6, height=2.4)
    rows = []
    for axes, (method, title) in zip(grid[0], METHODS.items(), strict=True):
        words = [title]
        for color, (line, marker), (path, label) in zip(PALETTE, STYLES, PATHS.items(), strict=False):
            if not results:
                continue
            for number, (_, run) in enumerate(select(results.scores, method=method, **{KEY: path}).groupby("seed")):
                games, scored = (run[(run["score_type"] == "training") == wanted] for wanted in (True, False))
                names = [None, None] if number else [f"{label}, training", f"{label}, evaluations"]
                axes.plot(games["frames"] / 1e3, games["score"], line, color=color, label=names[0], linewidth=1)
                axes.plot(scored["frames"] / 1e3, scored["score"], marker, color=color, label=names[1], markersize=3)
            final = select(results.runs, method=method, **{KEY: path}).sort_values("seed")["score"]
            words += [", ".join(f"{score:.1f}" for score in final), f"{final.mean():.1f}"]
        rows += [words] if results else []
        axes.set(title=title, xlabel="thousand frames", ylim=(0, None))
    grid[0][0].set_ylabel("score")
    legend_below(figure, grid.flat)
    header = ["method", *(cell for label in PATHS.values() for cell in (f"{label}, by seed", "mean"))]
    return figure, markdown(header, rows), ""


if __name__ == "__main__":
    run_command(main, __doc__)
