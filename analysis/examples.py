"""The examples of the README and of the page on environments: learning curves and final scores, seed by seed.

python analysis/examples.py [scale=laptop]
"""

from collections.abc import Iterator

import pandas as pd

from a3crepro.experiments.figures import (
    COLORS,
    METHODS,
    PALETTE,
    TITLES,
    WIDTH,
    Page,
    Results,
    draw_level,
    legend_below,
    markdown,
    number,
    references,
    rows_of_panels,
    script,
)
from a3crepro.experiments.results import select, setting
from a3crepro.runs.command_line import run_command

PANELS = ("minatar/breakout", "CartPole-v1", "Acrobot-v1", "Pendulum-v1", "HalfCheetah-v5", "LunarLander-v3")
"""By `env`, or `env.id` for `env=gym`."""
EXECUTIONS = {"hogwild": "in processes", "virtual_time": "in virtual time"}
STYLES = {
    ("n_step_q", "hogwild"): (COLORS["n_step_q"], "-."), ("a3c", "hogwild"): (COLORS["a3c"], "-"),
    ("a3c", "virtual_time"): (PALETTE[0], "--"),
}  # fmt: skip
"""Colours and lines, by method and execution."""


def name_of(runs: pd.DataFrame) -> pd.Series:
    """The environment of each run: `env.id` for `env=gym`, else `env`."""
    ids = setting(runs, "env.id")
    return ids.where(ids != "", runs["env"])


def random_score(name: str) -> float:
    """The mean score of a random policy in the environment of this name."""
    table = references(name)
    if table.empty:
        table = select(references("gym"), **{"env.id": name})
    return float(select(table, policy="random")["score_mean"].iloc[0])


def examples(runs: pd.DataFrame) -> Iterator[tuple[tuple[str, str], float, pd.DataFrame]]:
    """Each example's method and execution, learning rate, and runs by seed."""
    for (method, execution, rate), found in runs.groupby(["method", "execution", "learning_rate"], sort=False):
        yield (method, execution), rate, found.sort_values("seed")


def digits(scores: pd.Series) -> int:
    """How many decimals to show."""
    return 0 if scores.abs().max() >= 100 else 1


@script("examples")
def main(results: Results | None) -> Page:
    """Draws a panel per environment with a line per seed, and tabulates the last evaluations."""
    figure, panels = rows_of_panels(len(PANELS), 3, WIDTH / 3, 2.1)
    rows = []
    for axes, name in zip(panels, PANELS, strict=True):
        axes.set(title=TITLES.get(name, name), xlabel="thousand frames", ylabel="score")
        if results is None:
            continue
        runs = results.runs[name_of(results.runs) == name]
        for (method, execution), rate, found in examples(runs):
            (color, line), label = STYLES[method, execution], f"{METHODS[method]}, {EXECUTIONS[execution]}"
            for run in found["run"]:
                curve = select(results.evaluations(), run=run)
                style = {"color": color, "linestyle": line, "linewidth": 0.9, "label": label}
                axes.plot(curve["frames"] / 1e3, curve["score"], **style)
            scores, places = found["last_score"], digits(found["last_score"])
            rows.append([f"`{name}`", label, f"{rate:g}", f"{found['frames'].max() / 1e3:.0f}k",
                         number(scores.mean(), places), ", ".join(number(score, places) for score in scores),
                         number(random_score(name), places)])  # fmt: skip
        if len(runs):
            draw_level(axes, random_score(name), "random", "random policy")
    legend_below(figure, panels)
    header = ["environment", "method", "learning rate", "frames", "mean", "by seed", "random policy"]
    return figure, markdown(header, rows), "Scores are those of the last evaluation, in 30 episodes of each seed."


if __name__ == "__main__":
    run_command(main, __doc__)
