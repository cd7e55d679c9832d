"""What stale gradients do to learning on Pong: explained variance by the number of actor-learners, and inactive units.

  python analysis/stale_gradients.py [scale=laptop] [--collect]

With --collect, first makes the tables from the runs of `sweeps/stale_gradients.py`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import nn

from a3crepro.config import Config
from a3crepro.environments._environment import random_action
from a3crepro.experiments.collect import runs_table
from a3crepro.experiments.command import Command
from a3crepro.experiments.figures import METHODS, OWN, legend_below, markdown, number, panels, save
from a3crepro.experiments.results import short_commits
from a3crepro.experiments.state import in_frames
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text
from a3crepro.runs.policies import stored_policy
from analysis._collected import own_tables
from sweeps.stale_gradients import EXPERIMENT

COLUMNS = ["method", "env", "threads", "seed", "learning_rate", "commit", "date", "command"]
TABLES = ("explained_variance", "inactive_units")
BINS = 20
"""Points of a run's curve: means over as many equal spans of frames."""
SCREENS, APART = 150, 4
"""Observations of a random policy that an inactive unit ignores, and agent steps between them."""
COLORS = {1: "#0072b2", 2: "#009e73", 4: "#009e73", 16: "#d55e00"}
"""By actor-learners."""


def collect(scale: str, into: Path) -> None:
    """The tables of the sweep's runs: explained variance by frames, and inactive units at the end."""
    command = Command(EXPERIMENT, [f"scale={scale}"])
    curves, units = [], []
    for row in runs_table(command, command.runs()).to_dict("records"):
        directory = command.root / row["run"]
        about = {key: row[key] for key in COLUMNS}
        curves.append(binned(pd.read_csv(directory / "metrics.csv"), row["frames"]).assign(**about))
        units.append({**about, "frames": row["frames"], **inactive(directory)})
    into.mkdir(parents=True, exist_ok=True)
    for name, table in zip(TABLES, (pd.concat(curves), pd.DataFrame(units)), strict=True):
        ordered = table.sort_values(["method", "threads", "seed", "frames"])
        first = [*COLUMNS, "frames"]
        ordered = ordered[[*first, *(key for key in ordered if key not in first)]]
        write_text(into / f"{name}.csv", ordered.to_csv(index=False, float_format="%.5g"))


def binned(metrics: pd.DataFrame, frames: int) -> pd.DataFrame:
    """Means of the explained variance over equal parts of the run, numbered from 1; `frames` are their ends."""
    part = (metrics["frames"] * BINS / frames).apply(np.ceil).clip(1, BINS).astype(int).rename("part")
    found = metrics["explained_variance"].groupby(part).mean().reset_index()
    return found.assign(frames=found["part"] * frames // BINS)


def inactive(directory: Path) -> dict[str, float]:
    """The shares of a run's units in each rectified layer, filters included, that are 0 on all screens."""
    config, snapshot, _ = stored_policy(directory)
    module = config.seeded_network()
    nn.utils.vector_to_parameters(torch.from_numpy(snapshot.parameters), module.parameters())
    return inactive_shares(module, screens(config))


def screens(config: Config) -> torch.Tensor:
    """Observations of a random policy, always the same, [SCREENS, ...]."""
    env, rng = config.env.make(training=True), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    found = []
    for step in range(SCREENS * APART):
        observation, _, terminated, truncated, _ = env.step(random_action(env.action_space, rng))
        if step % APART == 0:
            found.append(np.array(observation))
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()
    return torch.from_numpy(np.stack(found))


@torch.no_grad()
def inactive_shares(module: nn.Module, observations: torch.Tensor) -> dict[str, float]:
    """By layer, `layer_1` the first: the share of its units that are 0 for all observations."""
    x, shares = module.scaled(observations), {}
    for layer in module.torso:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            of_unit = x.flatten(2).amax(2) if x.dim() > 2 else x
            shares[f"layer_{len(shares) + 1}"] = float((of_unit.amax(0) == 0).float().mean())
    return shares


def draw(axes: Axes, table: pd.DataFrame, method: str) -> None:
    """A method's explained variance over frames: a thin line per run, the mean of a number of actor-learners thick."""
    for threads, runs in table.groupby("threads"):
        style = {"color": COLORS[threads]}
        for _, curve in runs.groupby("seed"):
            axes.plot(curve["frames"] / 1e6, curve["explained_variance"], linewidth=0.5, alpha=0.7, **style)
        mean = runs.groupby("part")[["frames", "explained_variance"]].mean()
        axes.plot(
            mean["frames"] / 1e6, mean["explained_variance"], linewidth=1.5, label=f"actor-learners: {threads}", **style
        )
    rate = table["learning_rate"].iloc[0]
    axes.set(title=f"{METHODS[method]}, learning rate {rate:g}", xlabel="million frames", ylim=(-0.5, 1))
    axes.axhline(0, color="0.4", linewidth=0.8, linestyle="--")


def rows(curves: pd.DataFrame, units: pd.DataFrame) -> list[list[str]]:
    """By method and actor-learners: at the end, each seed's explained variance and inactive units."""
    found = []
    for (method, threads), runs in units.groupby(["method", "threads"]):
        own = curves[(curves["method"] == method) & (curves["threads"] == threads)]
        last = own[own["part"] == BINS].sort_values("seed")
        layers = [key for key in units if str(key).startswith("layer_")]
        found.append([
            METHODS[method], f"{runs['learning_rate'].iloc[0]:g}", str(threads),
            ", ".join(number(value, 2) for value in last["explained_variance"]),
            *(", ".join(f"{100 * value:.0f}" for value in runs.sort_values("seed")[layer]) for layer in layers),
        ])  # fmt: skip
    return found


def main() -> None:
    """Collects and draws as the command line specifies."""
    scale, directory = own_tables(sys.argv[1:], "stale_gradients", TABLES, collect)
    curves, units = (pd.read_csv(directory / f"{name}.csv") for name in TABLES)
    methods = [method for method in METHODS if method in set(units["method"])]
    figure, grid = panels(len(methods), width=3.6, height=2.6)
    for axes, method in zip(grid[0], methods, strict=True):
        draw(axes, curves[curves["method"] == method], method)
    grid[0][0].set_ylabel("explained variance of the targets")
    legend_below(figure, grid.flat)
    header = [
        "method",
        "learning rate",
        "actor-learners",
        "explained variance at the end",
        *(f"% of layer {number} inactive" for number in range(1, 1 + sum(key.startswith("layer_") for key in units))),
    ]
    caption = (
        "Pong, `mnih2013`, virtual time. Explained variance: 1 - Var(target - prediction) / Var(target) of Q or V, "
        "the mean of the last 5 % of the frames; a cell has a number per seed. Inactive: 0 on each of "
        f"{SCREENS} screens of a random policy. "
        f"{OWN}: {len(units)} runs, {in_frames(units['frames'].sum())} frames, commit "
        f"{', '.join(short_commits(units['commit'])) or 'unknown'}."
    )
    save(figure, "stale_gradients", scale, markdown(header, rows(curves, units)), caption)


if __name__ == "__main__":
    run_command(main, __doc__)
