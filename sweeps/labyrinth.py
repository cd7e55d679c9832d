"""§5.4: A3C with LSTM cells in mazes that are new in every episode, and in a fixed one.

  python sweeps/labyrinth.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop, 16 actor-learners in virtual time: 2 rates x 2 entropy weights, plus the first of these with rewards clipped
to 1 and with unscaled frames, for 4M frames in new mazes, the rate annealed over 10M; then one of them for 10M frames,
with 3 held-out seeds in new mazes and one in a fixed maze: 6 runs and 4 that follow.
paper: 10 rates, 16 processes: 20 runs of 400M frames.
Core-hours at the scale laptop: 3.7.
"""

from collections.abc import Sequence

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Scale, run
from sweeps._protocol import QUIET, SMOKE, Choice, Search, log_uniform

MAZES = ("labyrinth", "labyrinth_static")
COMMON = (*QUIET, "evaluation.episodes=40")
LONG = 10_000_000
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=1_000_000", f"optimizer.anneal_frames={LONG}")
"""The runs of the search cover the first frames of the longer runs' schedule."""
PAPER = (*COMMON, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000")
FIRST = {"optimizer__lr": 1e-3, "algo__entropy_beta": 3e-3}
CHOICES: Sequence[Choice] = (
    FIRST,
    FIRST | {"env__reward_clip": 1},
    {"optimizer__lr": 1e-3, "algo__entropy_beta": 1e-2},
    {"optimizer__lr": 2e-3, "algo__entropy_beta": 3e-3},
    {"optimizer__lr": 2e-3, "algo__entropy_beta": 1e-2},
    FIRST | {"env__normalise_observations": "false"},
)


SMALL = Search(MAZES[:1], CHOICES[:1], 2_000, dict.fromkeys(MAZES, (4_000, 1)), threads=2)
CLIPPED = 1
"""Index of the choice whose last evaluation was best when the longer runs began; by the final score, the mean of the
last three evaluations, it is fourth of six."""
WHOLE = Search(MAZES[:1], CHOICES, 4_000_000, {MAZES[0]: (LONG, 3), MAZES[1]: (LONG, 1)}, chosen=CLIPPED)
"""Both search in new mazes; the longer runs are in new mazes and in a fixed one."""


EXPERIMENT = Experiment(
    "labyrinth",
    "§5.4",
    {
        "smoke": Scale(SMOKE, SMALL.runs, best=1, later=2),
        "laptop": Scale(LAPTOP, WHOLE.runs, best=1, later=4),
        "paper": Scale(
            PAPER,
            lambda scores: [
                run(maze, "a3c", threads=16, optimizer__lr=rate, seed=number)
                for number, rate in enumerate(log_uniform(1e-4, 1e-2, 10))
                for maze in MAZES
            ],
            best=5,
        ),
    },
)

if __name__ == "__main__":
    main(EXPERIMENT)
