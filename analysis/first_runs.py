"""Draws `results/first_runs/first_runs.png` from the tables beside it, and prints the README's first results."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.results import RESULTS

METHODS = {
    "a3c": "A3C",
    "n_step_q": "n-step Q",
    "one_step_q": "one-step Q",
    "one_step_sarsa": "one-step Sarsa",
}
PATHS = {"fast": "without autograd", "module": "by autograd"}
GAMES = {"breakout": (0, 10), "pong": (-21.5, -5)}
EPOCH = 4_000_000


def smoothed(games: pd.DataFrame, parts: int) -> pd.Series:
    """Mean score over the last so many parts of the budget, each game counted once."""
    total = (games["score"] * games["games"]).rolling(parts, min_periods=1).sum()
    return total / games["games"].rolling(parts, min_periods=1).sum()


def draw_method(axes: Axes, training: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    """One method on MinAtar: a line for each seed's training games, a colour for each path, final scores as points."""
    for color, (path, label) in zip(sns.color_palette("colorblind"), PATHS.items(), strict=False):
        here = training[training["implementation"] == path]
        for number, (_, games) in enumerate(here.groupby("seed")):
            name = f"{label}, {here['seed'].nunique()} seeds" if number == 0 else None
            axes.plot(games["frames"] / 1e6, smoothed(games, 8), color=color, label=name, linewidth=1)
        final = evaluations[evaluations["implementation"] == path]
        axes.plot(final["frames"] / 1e6, final["score_mean"], "o", color=color, markersize=4, clip_on=False)


def draw_game(axes: Axes, game: str, training: pd.DataFrame, evaluations: pd.DataFrame) -> None:
    """A3C on Atari, beside the paper's with 16 threads (Figure 3)."""
    blue = sns.color_palette("colorblind")[0]
    for number, (_, games) in enumerate(training.groupby("seed")):
        label = "training games" if number == 0 else None
        axes.plot(games["frames"] / 1e6, smoothed(games, 4), color=blue, label=label, linewidth=1)
    axes.plot(
        evaluations["frames"] / 1e6, evaluations["score_mean"], "o", color=blue, markersize=3, label="evaluations"
    )
    paper = pd.read_csv(RESULTS / "paper" / "fig3_s9_data_efficiency.csv")
    curve = paper[(paper["game"] == game) & (paper["method"] == "a3c") & (paper["threads"] == 16)]
    curve = curve[curve["epoch"] <= -(-training["frames"].max() // EPOCH)]
    axes.plot(curve["epoch"] * EPOCH / 1e6, curve["score"], "k--", linewidth=1, label="the paper, best 3 of 50")


def print_table(runs: pd.DataFrame) -> None:
    """The final evaluations, as Markdown: MinAtar's as means of the seeds."""
    print("| environment | method | threads | frames | path | final scores, by seed | mean |")
    print("|---|---|---|---|---|---|---|")
    order = runs.assign(order=runs["algo"].map({algo: i for i, algo in enumerate(METHODS)}))
    for (env, _, path), here in order.sort_values("seed").groupby(["env", "order", "implementation"]):
        first, scores = here.iloc[0], here["score_mean"]
        words = [
            f"`{env}`",
            METHODS[first["algo"]],
            str(first["threads"]),
            f"{first['frames'] / 1e6:.0f}M",
            PATHS[path],
        ]
        print("|", " | ".join([*words, ", ".join(f"{s:.1f}" for s in scores), f"{scores.mean():.1f}"]), "|")


def main() -> None:
    """Draws the figure and prints the table."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "first_runs"
    training, evaluations = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "evaluations.csv")
    figure, all_axes = plt.subplots(2, 3, figsize=(12, 7))
    panels = list(all_axes.flat)
    for axes, (algo, label) in zip(panels, METHODS.items(), strict=False):
        here = [
            table[(table["env"] == "minatar/breakout") & (table["algo"] == algo)] for table in (training, evaluations)
        ]
        draw_method(axes, *here)
        axes.set(title=f"MinAtar Breakout, {label}, 8 threads", ylim=(0, 14))
    for axes, (game, limits) in zip(panels[len(METHODS) :], GAMES.items(), strict=True):
        draw_game(axes, game, *(table[table["env"] == f"atari/{game}"] for table in (training, evaluations)))
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
