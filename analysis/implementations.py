"""Draws `results/implementations/implementations.png`: learning with and without autograd, three seeds each.

Lines are training games, points evaluations.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from first_runs import METHODS, smoothed

from a3crepro.results import RESULTS, select

PATHS = {"fast": "without autograd", "module": "by autograd"}


def main() -> None:
    """Draws the figure and prints the final scores as a Markdown table."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "implementations"
    training, evaluations = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "evaluations.csv")
    figure, panels = plt.subplots(1, len(METHODS), figsize=(13, 3.4), sharey=True)
    print("| method | without autograd, by seed | mean | by autograd, by seed | mean |\n|---|---|---|---|---|")
    for axes, (algo, title) in zip(panels, METHODS.items(), strict=True):
        words = [title]
        for color, (path, label) in zip(sns.color_palette("colorblind"), PATHS.items(), strict=False):
            games, scored = (select(table, algo=algo, implementation=path) for table in (training, evaluations))
            for number, (_, of_seed) in enumerate(games.groupby("seed")):
                name = label if number == 0 else None
                axes.plot(of_seed["frames"] / 1e3, smoothed(of_seed, 8), color=color, label=name, linewidth=1)
            axes.plot(scored["frames"] / 1e3, scored["score_mean"], "o", color=color, markersize=3)
            final = scored.sort_values("frames").groupby("seed")["score_mean"].last()
            words += [", ".join(f"{score:.1f}" for score in final), f"{final.mean():.1f}"]
        print("|", " | ".join(words), "|")
        axes.set(title=title, xlabel="thousand frames")
        axes.legend(fontsize=7, loc="upper left")
    panels[0].set_ylabel("score")
    figure.tight_layout()
    figure.savefig(directory / "implementations.png", dpi=150)


if __name__ == "__main__":
    main()
