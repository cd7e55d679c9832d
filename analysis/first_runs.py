"""Draws `results/first_runs/first_runs.png` from the tables beside it, and prints the README's first results."""

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


def smoothed(games: pd.DataFrame, parts: int = 8) -> pd.Series:
    """Mean score over the last so many parts of the budget, each game counted once."""
    total = (games["score"] * games["games"]).rolling(parts, min_periods=1).sum()
    return total / games["games"].rolling(parts, min_periods=1).sum()


def draw_methods(axes: Axes, training: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    """Training scores as lines and evaluations as points, a colour for each method."""
    palette = dict(zip(METHODS, sns.color_palette("colorblind"), strict=False))
    for algo, label in METHODS.items():
        games = training[training["algo"] == algo]
        points = evaluations[evaluations["algo"] == algo]
        if games.empty:
            continue
        axes.plot(games["frames"] / 1e6, smoothed(games), color=palette[algo], label=label, linewidth=1.2)
        axes.plot(points["frames"] / 1e6, points["score_mean"], "o", color=palette[algo], markersize=4)
    axes.set_xlabel("million frames")


def draw_paper(axes: Axes, game: str, frames: float) -> None:
    """The paper's A3C with 16 threads (Figure 3), as far as it overlaps, up to the next epoch."""
    paper = pd.read_csv(RESULTS / "paper" / "fig3_s9_data_efficiency.csv")
    curve = paper[(paper["game"] == game) & (paper["method"] == "a3c") & (paper["threads"] == 16)]
    curve = curve[curve["epoch"] <= -(-frames // EPOCH)]
    axes.plot(curve["epoch"] * EPOCH / 1e6, curve["score"], "k--", linewidth=1, label="A3C in the paper (Figure 3)")


def print_table(runs: pd.DataFrame) -> None:
    """The final evaluations, as Markdown."""
    print("| environment | method | threads | frames | minutes | final score, mean (median) of games |")
    print("|---|---|---|---|---|---|")
    for run in runs.itertuples():
        score = f"{run.score_mean:.2f} ({run.score_median:g}) of {run.episodes}"
        method = METHODS[str(run.algo)]
        minutes = float(str(run.seconds)) / 60
        print(f"| `{run.env}` | {method} | {run.threads} | {run.frames:,} | {minutes:.1f} | {score} |")


def main() -> None:
    """Draws the figure and prints the table."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "first_runs"
    training, evaluations = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "evaluations.csv")
    panels = {
        "minatar/breakout": ("MinAtar Breakout", (0, 16)),
        "atari/breakout": ("Atari Breakout", (0, 4)),
        "atari/pong": ("Atari Pong", (-21.2, -18.8)),
    }
    figure, all_axes = plt.subplots(1, len(panels), figsize=(10, 3.2), layout="constrained")
    for axes, (env, (title, limits)) in zip(all_axes, panels.items(), strict=True):
        here = training[training["env"] == env]
        draw_methods(axes, here, evaluations[evaluations["env"] == env])
        if env.startswith("atari/"):
            draw_paper(axes, env.removeprefix("atari/"), here["frames"].max())
        threads = ", ".join(str(number) for number in sorted(here["threads"].unique()))
        axes.set_title(f"{title}, {threads} threads")
        axes.legend(fontsize=7)
        axes.set_ylim(*limits)
    all_axes[0].set_ylabel("score (lines: training games,\npoints: evaluations)")
    figure.savefig(directory / "first_runs.png", dpi=150)
    print_table(pd.read_csv(directory / "runs.csv"))


if __name__ == "__main__":
    main()
