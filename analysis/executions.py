"""Draws `results/executions/executions.png`: A3C on MinAtar Breakout in three executions, with bootstrap intervals."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.results import RESULTS

CASES = {
    ("hogwild", 2, 7e-4): "hogwild, 2 processes",
    ("virtual_time", 2, 7e-4): "virtual time, 2 actor-learners",
    ("synchronous", 16, 7e-4): "synchronous (A2C), 16 actor-learners",
    ("synchronous", 16, 28e-4): "the same at four times the learning rate",
}
PARTS = 20
"""Points of a curve: parts of the budget."""
RESAMPLES = 10_000


def curves(training: pd.DataFrame, budget: int) -> np.ndarray:
    """The mean score of the training games in equal parts of the budget, [seeds, PARTS]; each game counts once."""
    part = np.minimum(training["frames"] * PARTS // budget, PARTS - 1)
    total = (training["score"] * training["games"]).groupby([training["seed"], part]).sum()
    return (total / training["games"].groupby([training["seed"], part]).sum()).unstack().to_numpy()


def interval(values: np.ndarray) -> np.ndarray:
    """The 95 % bootstrap interval of the mean over seeds, [2, …], from values [seeds, …]."""
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    return np.percentile(values[drawn].mean(1), (2.5, 97.5), axis=0)


def draw(axes: Axes, training: pd.DataFrame, budget: int) -> dict[str, np.ndarray]:
    """All curves; returns them by their labels."""
    found = {}
    for color, ((execution, threads, lr), label) in zip(sns.color_palette("colorblind"), CASES.items(), strict=False):
        here = training[
            (training["execution"] == execution) & (training["threads"] == threads) & np.isclose(training["lr"], lr)
        ]
        values = found[label] = curves(here, budget)
        x = (np.arange(PARTS) + 0.5) * budget / PARTS / 1e3
        axes.plot(x, values.mean(0), color=color, label=f"{label}, {len(values)} seeds")
        axes.fill_between(x, *interval(values), color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="thousand frames", ylabel="score of the training games")
    axes.legend(fontsize=7)
    return found


def main() -> None:
    """Draws the figure, prints the final scores, and how far hogwild and virtual time differ."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "executions"
    training, runs = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "runs.csv")
    figure, axes = plt.subplots(figsize=(6, 3.8))
    found = draw(axes, training, 500_000)
    figure.tight_layout()
    figure.savefig(directory / "executions.png", dpi=150)
    print(
        "| execution | seeds | mean of the last tenth | 95 % interval | final evaluation, mean |\n|---|---|---|---|---|"
    )
    for (execution, threads, lr), label in CASES.items():
        last = found[label][:, -PARTS // 10 :].mean(1)
        low, high = interval(last)
        here = runs[(runs["execution"] == execution) & (runs["threads"] == threads) & np.isclose(runs["lr"], lr)]
        print(
            f"| {label} | {len(last)} | {last.mean():.2f} | {low:.2f} to {high:.2f} | {here['score_mean'].mean():.2f} |"
        )
    one, other = list(found.values())[:2]
    low, high = interval(one)
    low_, high_ = interval(other)
    overlap = ((low <= high_) & (low_ <= high)).sum()
    print(f"\nThe intervals of hogwild and virtual time overlap in {overlap} of {PARTS} parts.")


if __name__ == "__main__":
    main()
