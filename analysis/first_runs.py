"""Draws `results/first_runs/first_runs.png` from the tables beside it: the README's first figure."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.results import RESULTS

METHODS = {
    "one_step_q": "one-step Q",
    "one_step_sarsa": "one-step Sarsa",
    "n_step_q": "n-step Q",
    "a3c": "A3C",
}
EPOCH = 4_000_000


def draw_methods(axes: Axes, training: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    """Training scores as lines and evaluations as points, a colour for each method."""
    palette = dict(zip(METHODS, sns.color_palette("colorblind"), strict=False))
    for algo, label in METHODS.items():
        games = training[training["algo"] == algo]
        points = evaluations[evaluations["algo"] == algo]
        if games.empty:
            continue
        axes.plot(games["frames"] / 1e6, games["score"], color=palette[algo], label=label, linewidth=1.2)
        axes.plot(points["frames"] / 1e6, points["score_mean"], "o", color=palette[algo], markersize=4)
    axes.set_xlabel("million frames")


def draw_paper(axes: Axes, game: str, frames: float) -> None:
    """The paper's A3C with 16 threads (Figure 3), as far as it overlaps, up to the next epoch."""
    paper = pd.read_csv(RESULTS / "paper" / "fig3_s9_data_efficiency.csv")
    curve = paper[(paper["game"] == game) & (paper["method"] == "a3c") & (paper["threads"] == 16)]
    curve = curve[curve["epoch"] <= -(-frames // EPOCH)]
    axes.plot(curve["epoch"] * EPOCH / 1e6, curve["score"], "k--", linewidth=1, label="A3C in the paper (Figure 3)")


def main() -> None:
    """Draws the figure."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "first_runs"
    training, evaluations = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "evaluations.csv")
    panels = {"minatar/breakout": "MinAtar Breakout", "atari/breakout": "Atari Breakout", "atari/pong": "Atari Pong"}
    figure, all_axes = plt.subplots(1, len(panels), figsize=(10, 3.2), layout="constrained")
    for axes, (env, title) in zip(all_axes, panels.items(), strict=True):
        here = training[training["env"] == env]
        draw_methods(axes, here, evaluations[evaluations["env"] == env])
        if env.startswith("atari/"):
            draw_paper(axes, env.removeprefix("atari/"), here["frames"].max())
        threads = ", ".join(str(number) for number in sorted(here["threads"].unique()))
        axes.set_title(f"{title}, {threads} threads")
        axes.legend(frameon=False)
    all_axes[0].set_ylabel("score (lines: training, points: evaluation)")
    figure.savefig(directory / "first_runs.png", dpi=150)


if __name__ == "__main__":
    main()
