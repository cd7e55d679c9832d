"""The small examples of the README and of the page on environments, with several seeds.

  python sweeps/examples.py [scale=smoke|laptop] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: the README's commands, in processes: MinAtar Breakout with n-step Q and A3C, 600,000 frames, and CartPole-v1;
A3C in five of Gymnasium's environments in virtual time, 500,000 frames: 8 examples with 5 seeds each, 40 runs.
HalfCheetah-v5 needs the extra `control`, LunarLander-v3 the extra `box2d`.
Core-hours at the scale laptop: 0.7.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import HELD_OUT, Experiment, Run, Scale, run
from sweeps._protocol import LAPTOP_GAME, QUIET

MINATAR = (("n_step_q", 3e-3), ("a3c", 5e-3))
"""Methods and learning rates in MinAtar Breakout."""
CARTPOLE = "CartPole-v1"
GYMNASIUM = (CARTPOLE, "Acrobot-v1", "Pendulum-v1", "HalfCheetah-v5", "LunarLander-v3")
"""Values of `env.id`."""


def runs(seeds: int, ids: Sequence[str], **others: object) -> list[Run]:
    """The examples on MinAtar, on CartPole in processes and in virtual time with each of these `env.id`."""
    return [
        example
        for seed in range(HELD_OUT, HELD_OUT + seeds)
        for example in (
            *(run(LAPTOP_GAME, method, threads=2, optimizer__lr=rate, seed=seed, **{"frames": 600_000, **others})
              for method, rate in MINATAR),
            run("gym", "a3c", env__id=CARTPOLE, seed=seed, **others),
            *(run("gym", "a3c", execution="virtual_time", env__id=name, seed=seed, **others) for name in ids),
        )
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "examples",
    "the examples of the README",
    {
        "smoke": Scale(
            (*QUIET, "evaluation.every=2_000", "evaluation.episodes=2"),
            lambda scores: runs(1, GYMNASIUM[:3], frames=4_000),
        ),
        "laptop": Scale((*QUIET, "evaluation.episodes=30"), lambda scores: runs(5, GYMNASIUM)),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
