"""Figures S7 and S8: A3C on physical tasks from state and from pixels, over learning rates and over time.

  python sweeps/mujoco.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, on 8 tasks of the Control Suite, 16 actor-learners in virtual time:
  - the paper's (§9): whole episodes without bootstrapping, separate LSTM networks, spherical normal: 8 rates from 1e-5
    to 1e-1 x 500,000 steps;
  - rollouts with bootstrapping, the Control Suite's network and policy within bounds, diagonal covariance, scaled
    observations: 2 lengths x 2 of RMSProp's ε x 3 rates x 500,000 steps; then what is best over all tasks with 3 fresh
    seeds x 2M steps, and on two tasks x 10M steps;
  - the same but for whole episodes, on 3 tasks: 2 of RMSProp's ε x 3 rates x 500,000 steps;
  - rollouts from pixels with one network, one task: 2 rates x 100,000 steps, then the best one with 3 seeds x 300,000.
180 runs and up to 33 that follow. paper: its tasks' descendants, 250 rates a task, 16 processes.
Core-hours at the scale laptop: 9.5.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # `mujoco` is to be the library, not this file

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from _protocol import QUIET, SMOKE, log_uniform

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import FRESH, Experiment, Run, Scale, Scores, run

TASKS = (
    "cartpole_balance", "cartpole_swingup", "pendulum_swingup", "point_mass_easy", "reacher_easy", "cheetah_run",
    "walker_stand", "walker_walk",
)  # fmt: skip
LONGER = ("cheetah_run", "walker_walk")
COMPARED = ("cartpole_swingup", "reacher_easy", "walker_walk")
PIXELS = ("cartpole_balance_pixels",)
DESCENDANTS = ("cartpole_swingup", "cheetah_run", "manipulator_bring_ball", "pendulum_swingup", "reacher_hard",
               "point_mass_easy", "hopper_hop", "walker_walk")  # fmt: skip
DESCENDANTS_PIXELS = ("pendulum_swingup_pixels", "point_mass_easy_pixels", "manipulator_bring_ball_pixels")

WHOLE_EPISODES: Mapping[str, object] = {}
"""The defaults of control/…: §9."""
POLICY: Mapping[str, object] = {"algo__gaussian__bounded": "true", "algo__gaussian__covariance": "diagonal"}
EPISODES_OTHERWISE: Mapping[str, object] = {"network": "control_mlp", **POLICY, "env__normalise_observations": "true"}
"""Whole episodes with what else goes with rollouts, to tell the updates from the rest."""
EPSILONS: Sequence[Mapping[str, object]] = ({}, {"optimizer__epsilon": 1e-5})
"""The paper's, with which RMSProp is nearly SGD where gradients are small, and one with which it is not."""
ROLLOUTS = [{**EPISODES_OTHERWISE, "algo__t_max": steps, **epsilon} for steps in (20, 100) for epsilon in EPSILONS]
"""Two of the three lengths that Tassa et al. 2018 searched; 1,000 is a whole episode."""
ROLLOUTS_OF_PIXELS = [{"network__separate": "false", "algo__t_max": 20, **POLICY, **EPSILONS[1]}]

COMMON = (*QUIET, "evaluation.episodes=10")
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=50_000")
PAPER = (*COMMON, "execution=hogwild", "frames=20_000_000", "evaluation.every=200_000")
TINY = (*SMOKE, "env.max_episode_steps=100")


def grid(
    tasks: Sequence[str], how: Mapping[str, object], rates: Sequence[float], frames: int | None, threads: int = 16
) -> list[Run]:
    """A run for each rate and task; a rate's number is its seed."""
    return [
        run(f"control/{task}", "a3c", threads=threads, **how, optimizer__lr=rate, seed=number, frames=frames)
        for number, rate in enumerate(rates)
        for task in tasks
    ]


@dataclass(frozen=True)
class Search:
    """Short runs over rates; then what is best over all tasks, with fresh seeds in longer runs."""

    tasks: Sequence[str]
    ways: Sequence[Mapping[str, object]]
    """How a run learns."""
    rates: Sequence[float]
    frames: int
    """Of a short run."""
    then: int
    """Frames of a longer run."""
    seeds: int
    threads: int = 16
    longer: Mapping[str, int] = field(default_factory=dict)
    """Tasks that are run once more, with so many frames."""

    def runs(self, scores: Scores) -> list[Run]:
        """The longer ones are known when all the short ones are done."""
        short = [one for way in self.ways for one in grid(self.tasks, way, self.rates, self.frames, self.threads)]
        found = [score for one in short if (score := scores(one)) is not None]
        if len(found) < len(short):
            return short
        way, rate = self.best(found)
        lengths = [*((task, self.then) for task in self.tasks), *self.longer.items()]
        return short + [
            run(f"control/{task}", "a3c", threads=self.threads, **way, optimizer__lr=rate, seed=FRESH + number,
                frames=frames)
            for number in range(self.seeds)
            for task, frames in lengths
        ]  # fmt: skip

    def best(self, scores: Sequence[float]) -> tuple[Mapping[str, object], float]:
        """The way and rate with the greatest mean over tasks of the score, each as a share of the task's best."""
        tasks = len(self.tasks)
        table = [scores[start : start + tasks] for start in range(0, len(scores), tasks)]
        most = [max(1e-9, *column) for column in zip(*table, strict=True)]
        shares = [sum(score / best for score, best in zip(row, most, strict=True)) for row in table]
        return [(way, rate) for way in self.ways for rate in self.rates][shares.index(max(shares))]


def laptop(scores: Scores) -> list[Run]:
    """The whole experiment; what follows of the search is the last to be run."""
    rates = log_uniform(3e-4, 3e-3, 3)
    rollouts = Search(TASKS, ROLLOUTS, rates, 500_000, 2_000_000, 3, longer=dict.fromkeys(LONGER, 10_000_000))
    pixels = Search(PIXELS, ROLLOUTS_OF_PIXELS, log_uniform(3e-4, 1e-3, 2), 100_000, 300_000, 3)
    episodes = grid(TASKS, WHOLE_EPISODES, log_uniform(1e-5, 1e-1, 8), 500_000)
    return [
        *rollouts.runs(scores),
        *episodes,
        *(one for epsilon in EPSILONS for one in grid(COMPARED, {**EPISODES_OTHERWISE, **epsilon}, rates, 500_000)),
        *pixels.runs(scores),
    ]


def smoke(scores: Scores) -> list[Run]:
    """Every part with a few hundred steps."""
    tasks, rates = ("cartpole_balance", "reacher_easy"), (1e-3,)
    rollouts = Search(tasks, ROLLOUTS[:1], rates, 800, 1_000, 1, 2, {"reacher_easy": 1_200})
    pixels = Search(PIXELS, ROLLOUTS_OF_PIXELS, rates, 200, 300, 1, 2)
    episodes = [*grid(tasks, WHOLE_EPISODES, rates, 800, 2), *grid(tasks[1:], EPISODES_OTHERWISE, rates, 800, 2)]
    return [*rollouts.runs(scores), *episodes, *pixels.runs(scores)]


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
