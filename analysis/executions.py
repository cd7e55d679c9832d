"""Draws `results/executions/executions.png`: A3C on MinAtar Breakout in three executions, with bootstrap intervals."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from a3crepro.results import RESULTS, select

CASES = {
    ("hogwild", 2, 7e-4): "hogwild, 2 processes",
    ("virtual_time", 2, 7e-4): "virtual time, 2 actor-learners",
    ("virtual_time", 16, 7e-4): "virtual time, 16 actor-learners",
    ("synchronous", 16, 7e-4): "synchronous (A2C), 16 actor-learners",
    ("virtual_time", 16, 28e-4): "virtual time, 16, four times the learning rate",
    ("synchronous", 16, 28e-4): "synchronous, 16, four times the learning rate",
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


def interval_of_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The 95 % bootstrap interval of the mean of `other` less that of `one`, [2, …]; their seeds are no pairs."""
    rng = np.random.default_rng(1)
    means = [values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1) for values in (one, other)]
    return np.percentile(means[1] - means[0], (2.5, 97.5), axis=0)


def draw(axes: Axes, training: pd.DataFrame, budget: int) -> dict[str, np.ndarray]:
    """All curves; returns them by their labels."""
    found = {}
    for color, ((execution, threads, lr), label) in zip(sns.color_palette("colorblind"), CASES.items(), strict=False):
        here = select(training, execution=execution, threads=threads, lr=lr)
        values = found[label] = curves(here, budget)
        x = (np.arange(PARTS) + 0.5) * budget / PARTS / 1e3
        axes.plot(x, values.mean(0), color=color, label=f"{label}, {len(values)} seeds")
        axes.fill_between(x, *interval(values), color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="thousand frames", ylabel="score of the training games")
    return found


def main() -> None:
    """Draws the figure, prints the final scores, and how far hogwild and virtual time differ."""
    sns.set_theme(style="whitegrid", context="paper")
    directory = RESULTS / "executions"
    training, runs = pd.read_csv(directory / "training.csv"), pd.read_csv(directory / "runs.csv")
    figure, axes = plt.subplots(figsize=(6, 4.6), layout="constrained")
    found = draw(axes, training, 500_000)
    figure.legend(loc="outside lower center", ncol=2, fontsize=7, frameon=False)
    figure.savefig(directory / "executions.png", dpi=150)
    print(
        "| execution | seeds | mean of the last tenth | 95 % interval | final evaluation, mean |\n|---|---|---|---|---|"
    )
    for (execution, threads, lr), label in CASES.items():
        last = found[label][:, -PARTS // 10 :].mean(1)
        low, high = interval(last)
        here = select(runs, execution=execution, threads=threads, lr=lr)
        print(
            f"| {label} | {len(last)} | {last.mean():.2f} | {low:.2f} to {high:.2f} | {here['score_mean'].mean():.2f} |"
        )
    one, other = list(found.values())[:2]
    difference = other.mean(0) - one.mean(0)
    low, high = interval_of_difference(one, other)
    within = ((low <= 0) & (high >= 0)).sum()
    print(
        f"\nVirtual time less hogwild, two actor-learners each: from {difference.min():.2f} to {difference.max():.2f};"
    )
    print(f"0 lies within its 95 % interval in {within} of {PARTS} parts.")


if __name__ == "__main__":
    main()
