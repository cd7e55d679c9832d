"""Figures S7 and S8: A3C on physical tasks from state and from pixels, over learning rates and over time.

  python sweeps/physical_tasks.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: Control Suite tasks, 16 actor-learners in virtual time:
  - rollouts with bootstrapping, the Control Suite's network, bounded policy, diagonal covariance, scaled observations.
    First search, 300,000 steps per run with the rate annealed to 0, on 8 tasks: 20 steps with RMSProp's ε = 1e-5 at 8
    rates from 1e-5 to 1e-1; the paper's ε, or 100 steps, at 3 rates each. The best over all tasks then runs with 3
    held-out seeds x 2M steps on 4 of them;
  - a second search of 1M steps per run, since the first ended before anything had been learned: rollouts of 20 steps,
    ε = 1e-5, a rate annealed over 100M steps, 2 rates x 2 entropy costs that keep the variance off its minimum. The
    best then runs on all 8 tasks with 3 held-out seeds x 2M steps (10M on two tasks); 6 more rates run on 4 tasks;
  - a third search, as the second at its lower entropy cost, but with separate networks for policy and value, as in the
    paper: 3 rates; then as the second;
  - the paper's method (§9), on 4 tasks, 300,000 steps: whole episodes without bootstrapping, separate LSTM networks,
    spherical normal: the same 8 rates;
  - whole episodes, otherwise as with rollouts, on 4 tasks, 300,000 steps: 3 rates;
  - rollouts from pixels with one network, 2 tasks: the second search's choices x 100,000 steps, then the best with 3
    seeds x 300,000 steps on the first task, which learned nothing;
  - the same from frames scaled pixel by pixel, each action held for 4 steps, at the lower entropy cost, on the second
    of these tasks, which trials had learned this way: 3 rates x 400,000 steps (100,000 frames), then the best with 3
    seeds x 3M.
247 runs and 66 that follow. paper: the descendants of its tasks, 250 rates per task, 16 processes.
Core-hours at the scale laptop: 20.8.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, Scores
from sweeps._protocol import QUIET, SMOKE, Choice, Search, log_uniform, of_choices


def control(*tasks: str) -> tuple[str, ...]:
    """The tasks as environments."""
    return tuple(f"control/{task}" for task in tasks)


TASKS = control("cartpole_balance", "cartpole_swingup", "pendulum_swingup", "point_mass_easy", "reacher_easy",
                "cheetah_run", "walker_stand", "walker_walk")  # fmt: skip
LONGER = control("cartpole_swingup", "cheetah_run")
FIRST = control("cartpole_balance", "pendulum_swingup", "point_mass_easy", "reacher_easy")
"""Tasks of the longer runs after the first search."""
COMPARED = control("cartpole_balance", "cartpole_swingup", "reacher_easy", "walker_walk")
PIXELS = control("cartpole_swingup_pixels", "cheetah_run_pixels")
"""At two of four choices the first had learned nothing after 100,000 steps. The second, which is learned soon from
state, was then added."""
DESCENDANTS = control("cartpole_swingup", "cheetah_run", "manipulator_bring_ball", "pendulum_swingup", "reacher_hard",
                      "point_mass_easy", "hopper_hop", "walker_walk")  # fmt: skip
DESCENDANTS_PIXELS = control("pendulum_swingup_pixels", "point_mass_easy_pixels", "manipulator_bring_ball_pixels")

WHOLE_EPISODES: Choice = {}
"""The defaults of control/…: §9."""
POLICY: Choice = {"algo__gaussian__bounded": "true", "algo__gaussian__covariance": "diagonal"}
EPSILON: Choice = {"optimizer__epsilon": 1e-5}
"""RMSProp then divides by the root mean square; with the paper's ε it is close to SGD where gradients are small."""
ROLLOUT_SETTINGS: Choice = {"network": "control_mlp", **POLICY, "env__normalise_observations": "true"}
"""All settings of rollouts except their length."""
ROLLOUTS_OF_20: Choice = {**ROLLOUT_SETTINGS, "algo__t_max": 20, **EPSILON}
SEPARATE: Choice = {**ROLLOUTS_OF_20, "network__separate": "true"}
"""Separate networks, as in the paper (§9); the Control Suite's network is shared."""
EPISODE_SETTINGS = {**ROLLOUT_SETTINGS, **EPSILON}
"""Whole episodes with the other settings of rollouts, to separate the effect of the updates."""
ROLLOUTS_OF_PIXELS: Choice = {"network__separate": "false", "algo__t_max": 20, **POLICY, **EPSILON}
SCALED: Choice = {**ROLLOUTS_OF_PIXELS, "env__normalise_observations": "true", "env__action_repeat": 4}
"""Scaling removes what stands still, and over 4 steps moving parts shift from one frame to the next."""
RATES = log_uniform(1e-5, 1e-1, 8)
"""The range of §9."""


def also(common: Choice, choices: Sequence[Choice]) -> list[Choice]:
    """Adds common settings to each choice."""
    return [{**common, **choice} for choice in choices]


def at_rates(choice: Choice, rates: Sequence[float]) -> list[Choice]:
    """A choice at each of these rates."""
    return also(choice, [{"optimizer__lr": rate} for rate in rates])


ROLLOUTS = [
    *at_rates(ROLLOUTS_OF_20, RATES),
    *at_rates({**ROLLOUT_SETTINGS, "algo__t_max": 20}, RATES[3:6]),
    *at_rates({**ROLLOUT_SETTINGS, "algo__t_max": 100, **EPSILON}, RATES[2:5]),
]
"""Two of the three lengths searched by Tassa et al. 2018; the third, 1,000, is a whole episode."""

LOW_ENTROPY_COST, HIGH_ENTROPY_COST = (
    {"optimizer__anneal_frames": 100_000_000, "algo__gaussian__entropy_cost": cost} for cost in (0.03, 1.0)
)
"""Annealed over as many steps as the Control Suite's A3C ran. With the paper's entropy cost, 1e-4, the variance falls
to its minimum within 100,000 steps, which ends exploration; with the second of these it stays near its maximum."""
SECOND_SEARCH = [*at_rates(LOW_ENTROPY_COST, (2e-4, 5e-4)), *at_rates(HIGH_ENTROPY_COST, (2e-4, 5e-4))]
SECOND_BEST = 1
"""Index of the choice of the second search whose last evaluations were best when the longer runs began; by final
scores, the means of the last three evaluations, the first one is better (0.81 of the best instead of 0.71)."""
FURTHER_RATES = at_rates(LOW_ENTROPY_COST, (1e-5, 5e-5, 1e-4, 1e-3, 2e-3, 1e-2))
"""Six rates more than the two above, to find the range of good ones."""

COMMON = (*QUIET, "evaluation.episodes=10")
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=100_000")
PAPER = (*COMMON, "execution=hogwild", "frames=20_000_000", "evaluation.every=200_000")
TINY = (*SMOKE, "env.max_episode_steps=100")


def laptop(scores: Scores) -> list[Run]:
    """The whole experiment; runs that follow from a search come last."""
    then = dict.fromkeys(TASKS, (2_000_000, 3)) | dict.fromkeys(LONGER, (10_000_000, 3))
    at_three = at_rates(LOW_ENTROPY_COST, (1e-4, 2e-4, 5e-4))
    first = Search(TASKS, ROLLOUTS, 300_000, dict.fromkeys(FIRST, (2_000_000, 3)))
    second = Search(TASKS, also(ROLLOUTS_OF_20, SECOND_SEARCH), 1_000_000, then, chosen=SECOND_BEST)
    third = Search(TASKS, also(SEPARATE, at_three), 1_000_000, then)
    pixels = Search(PIXELS, also(ROLLOUTS_OF_PIXELS, SECOND_SEARCH), 100_000, {PIXELS[0]: (300_000, 3)})
    scaled = Search(PIXELS[1:], also(SCALED, at_three), 400_000, {PIXELS[1]: (3_000_000, 3)})
    return [
        *first.runs(scores),
        *of_choices(COMPARED, at_rates(WHOLE_EPISODES, RATES), 300_000),
        *of_choices(COMPARED, at_rates(EPISODE_SETTINGS, RATES[2:5]), 300_000),
        *of_choices(COMPARED, also(ROLLOUTS_OF_20, FURTHER_RATES), 1_000_000),
        *pixels.runs(scores),
        *scaled.runs(scores),
        *second.runs(scores),
        *third.runs(scores),
    ]


def smoke(scores: Scores) -> list[Run]:
    """Every part with a few hundred steps."""
    tasks, rates = control("cartpole_balance", "reacher_easy"), (1e-3,)
    rollouts = also(ROLLOUTS_OF_20, SECOND_SEARCH[:1])
    first = Search(tasks[:1], ROLLOUTS[:1], 800, {}, 2)
    second = Search(tasks, rollouts, 800, {tasks[0]: (1_000, 1), tasks[1]: (1_200, 1)}, 2)
    pixels = Search(PIXELS[1:], also(ROLLOUTS_OF_PIXELS, SECOND_SEARCH[:1]), 200, {PIXELS[1]: (300, 1)}, 2)
    episodes = [
        *of_choices(tasks[:1], at_rates(WHOLE_EPISODES, rates), 800, 2),
        *of_choices(tasks[1:], at_rates(EPISODE_SETTINGS, rates), 800, 2),
    ]
    return [*first.runs(scores), *episodes, *second.runs(scores), *pixels.runs(scores)]


def paper(scores: Scores) -> list[Run]:
    """The runs of Figures S7 and S8, whose curves over time show the best five rates of a task."""
    return of_choices((*DESCENDANTS, *DESCENDANTS_PIXELS), at_rates(WHOLE_EPISODES, log_uniform(1e-5, 1e-1, 250)), None)


EXPERIMENT = Experiment(
    "physical_tasks",
    "Figures S7 and S8",
    {
        "smoke": Scale(TINY, smoke, best=1, later=3),
        "laptop": Scale(LAPTOP, laptop, best=1, later=66),
        "paper": Scale(PAPER, paper, best=5),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
