"""Draws `results/first_runs/first_runs.png` from the tables beside it, and prints the README's first results."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.results import RESULTS, select

METHODS = {
    "a3c": "A3C",
    "n_step_q": "n-step Q",
    "one_step_q": "one-step Q",
    "one_step_sarsa": "one-step Sarsa",
}
GAMES = {"breakout": (0, 10), "pong": (-21.5, -5)}
EPOCH = 4_000_000


def smoothed(games: pd.DataFrame, parts: int) -> pd.Series:
    """Mean score over the last so many parts of the budget, each game counted once."""
    total = (games["score"] * games["games"]).rolling(parts, min_periods=1).sum()
    return total / games["games"].rolling(parts, min_periods=1).sum()


def draw(axes: Axes, training: pd.DataFrame, evaluations: pd.DataFrame, parts: int) -> None:
    """Each rate's training games, smoothed over so many parts of the budget, and its evaluations."""
    for color, (lr, games) in zip(sns.color_palette("colorblind"), training.groupby("lr"), strict=False):
        label = f"training games, {lr:g}"
        axes.plot(games["frames"] / 1e6, smoothed(games, parts), color=color, label=label, linewidth=1)
        scored = select(evaluations, lr=lr)
        axes.plot(scored["frames"] / 1e6, scored["score_mean"], "o", color=color, markersize=3, label="evaluations")


def draw_paper(axes: Axes, game: str, frames: int) -> None:
    """The paper's A3C with 16 threads (Figure 3), over so many frames."""
    paper = pd.read_csv(RESULTS / "paper" / "fig3_s9_data_efficiency.csv")
    curve = select(paper, game=game, method="a3c", threads=16)
    curve = curve[curve["epoch"] <= -(-frames // EPOCH)]
    axes.plot(curve["epoch"] * EPOCH / 1e6, curve["score"], "k--", linewidth=1, label="the paper, best 3 of 50")


def print_table(runs: pd.DataFrame) -> None:
    """The final evaluations, as Markdown."""
    print("| environment | method | threads | rate | frames | final score, mean of games |\n|---|---|---|---|---|---|")
    for _, run in runs.sort_values(["env", "algo", "lr"]).iterrows():
        words = [f"`{run['env']}`", METHODS[run["algo"]], run["threads"], run["lr"], f"{run['frames'] / 1e6:.0f}M"]
        print("|", " | ".join(map(str, [*words, f"{run['score_mean']:.1f}"])), "|")


def main() -> None:
    """Draws the figure and prints the table."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "first_runs"
    training, evaluations = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "evaluations.csv")
    figure, all_axes = plt.subplots(2, 3, figsize=(12, 7))
    panels = list(all_axes.flat)
    for axes, (algo, label) in zip(panels, METHODS.items(), strict=False):
        of_method = [select(table, env="minatar/breakout", algo=algo) for table in (training, evaluations)]
        draw(axes, *of_method, parts=8)
        axes.set(title=f"MinAtar Breakout, {label}, 8 threads", ylim=(0, 14))
    for axes, (game, limits) in zip(panels[len(METHODS) :], GAMES.items(), strict=True):
        games, scored = (select(table, env=f"atari/{game}") for table in (training, evaluations))
        draw(axes, games, scored, parts=4)
        draw_paper(axes, game, games["frames"].max())
        axes.set(title=f"Atari {game.capitalize()}, A3C, 16 threads", ylim=limits)
    for axes in panels:
        axes.set_xlabel("million frames")
        axes.legend(fontsize=7, loc="upper left")
    for axes in all_axes[:, 0]:
        axes.set_ylabel("score")
    figure.subplots_adjust(left=0.05, right=0.98, top=0.95, bottom=0.08, hspace=0.3, wspace=0.15)
    figure.savefig(directory / "first_runs.png", dpi=150)
    print_table(pd.read_csv(directory / "runs.csv"))


if __name__ == "__main__":
    main()
