"""Figures S7 and S8: A3C on physical tasks from state and from pixels, over learning rates and over time.

  python sweeps/mujoco.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, on 8 tasks of the Control Suite, 16 actor-learners in virtual time:
  - the paper's updates (whole episodes, no bootstrapping, separate LSTM networks): 8 rates x 500,000 steps;
  - rollouts of 20 steps with bootstrapping, the Control Suite's network and policy within bounds, scaled observations:
    5 rates x 500,000 steps; then the rate that is best over all tasks with 3 fresh seeds x 2M steps, and on two tasks
    x 10M steps;
  - from pixels, one task: 3 rates x 300,000 steps, then the best rate with 3 fresh seeds x 1M steps.
107 runs and up to 33 that follow. paper: its tasks' descendants, 250 rates a task, 16 processes.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # `mujoco` is to be the library, not this file

from collections.abc import Mapping, Sequence

from _protocol import QUIET, SMOKE, log_uniform

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import FRESH, Experiment, Run, Scale, Scores, run

TASKS = (
    "cartpole_balance", "cartpole_swingup", "pendulum_swingup", "point_mass_easy", "reacher_easy", "cheetah_run",
    "walker_stand", "walker_walk",
)  # fmt: skip
LONGER = ("cheetah_run", "walker_walk")
PIXELS = ("cartpole_balance_pixels",)
DESCENDANTS = ("cartpole_swingup", "cheetah_run", "manipulator_bring_ball", "pendulum_swingup", "reacher_hard",
               "point_mass_easy", "hopper_hop", "walker_walk")  # fmt: skip
DESCENDANTS_PIXELS = ("pendulum_swingup_pixels", "point_mass_easy_pixels", "manipulator_bring_ball_pixels")

WHOLE_EPISODES: Mapping[str, object] = {}
"""The defaults of control/…: §9."""
POLICY: Mapping[str, object] = {"algo__gaussian__bounded": "true", "algo__gaussian__covariance": "diagonal"}
ROLLOUTS: Mapping[str, object] = {
    "network": "control_mlp", "algo__t_max": 20, **POLICY, "env__normalise_observations": "true",
}  # fmt: skip
ROLLOUTS_OF_PIXELS: Mapping[str, object] = {"algo__t_max": 20, **POLICY}

COMMON = (*QUIET, "evaluation.episodes=10")
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=50_000")
PAPER = (*COMMON, "execution=hogwild", "frames=20_000_000", "evaluation.every=200_000")
TINY = (*SMOKE, "env.max_episode_steps=100", "evaluation.max_frames=100")


def grid(
    tasks: Sequence[str], how: Mapping[str, object], rates: Sequence[float], frames: int | None, threads: int = 16
) -> list[Run]:
    """A run for each rate and task; a rate's number is its seed."""
    return [
        run(f"control/{task}", "a3c", threads=threads, **how, optimizer__lr=rate, seed=number, frames=frames)
        for number, rate in enumerate(rates)
        for task in tasks
    ]


def best_rate(scores: Scores, runs: Sequence[Run], tasks: int, rates: Sequence[float]) -> float | None:
    """That with the greatest mean over tasks of the score, each as a share of the task's best; None: not all are done.

    The runs are those of `grid`.
    """
    found = [scores(one) for one in runs]
    done = [score for score in found if score is not None]
    if len(done) < len(runs):
        return None
    table = [done[start : start + tasks] for start in range(0, len(done), tasks)]
    most = [max(1e-9, *column) for column in zip(*table, strict=True)]
    shares = [sum(score / best for score, best in zip(row, most, strict=True)) for row in table]
    return rates[shares.index(max(shares))]


def with_fresh_seeds(
    scores: Scores,
    tasks: Sequence[str],
    how: Mapping[str, object],
    rates: Sequence[float],
    frames: tuple[int, int],
    seeds: int,
    longer: Mapping[str, int],
    threads: int = 16,
) -> list[Run]:
    """A search with short runs, then its best rate with fresh seeds in long ones, of some tasks in even longer ones."""
    short, long = frames
    runs = grid(tasks, how, rates, short, threads)
    rate = best_rate(scores, runs, len(tasks), rates)
    if rate is None:
        return runs
    lengths = [*((task, long) for task in tasks), *longer.items()]
    return runs + [
        run(f"control/{task}", "a3c", threads=threads, **how, optimizer__lr=rate, seed=FRESH + number, frames=length)
        for number in range(seeds)
        for task, length in lengths
    ]


def laptop(scores: Scores) -> list[Run]:
    """The whole experiment; what follows of the search is the last to be run."""
    rollouts = with_fresh_seeds(scores, TASKS, ROLLOUTS, log_uniform(1e-4, 1e-2, 5), (500_000, 2_000_000), 3,
                                dict.fromkeys(LONGER, 10_000_000))  # fmt: skip
    pixels = with_fresh_seeds(
        scores, PIXELS, ROLLOUTS_OF_PIXELS, log_uniform(1e-4, 1e-3, 3), (300_000, 1_000_000), 3, {}
    )
    return [*rollouts, *grid(TASKS, WHOLE_EPISODES, log_uniform(1e-5, 3e-2, 8), 500_000), *pixels]


def smoke(scores: Scores) -> list[Run]:
    """Every part with a few hundred steps."""
    tasks = ("cartpole_balance", "reacher_easy")
    rollouts = with_fresh_seeds(scores, tasks, ROLLOUTS, (1e-3,), (800, 1_000), 1, {"reacher_easy": 1_200}, 2)
    pixels = with_fresh_seeds(scores, PIXELS, ROLLOUTS_OF_PIXELS, (1e-3,), (200, 300), 1, {}, 2)
    return [*rollouts, *grid(tasks, WHOLE_EPISODES, (1e-3,), 800, 2), *pixels]


def paper(scores: Scores) -> list[Run]:
    """As in S7 and S8: the best five of a task's rates are drawn over time."""
    return grid((*DESCENDANTS, *DESCENDANTS_PIXELS), WHOLE_EPISODES, log_uniform(1e-5, 1e-1, 250), None)


EXPERIMENT = Experiment(
    "mujoco",
    "Figures S7 and S8",
    {
        "smoke": Scale(TINY, smoke, best=1, later=4),
        "laptop": Scale(LAPTOP, laptop, best=1, later=33),
        "paper": Scale(PAPER, paper, best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
