"""§5.4: A3C with LSTM cells in mazes that are new every episode, and in one that stays.

  python sweeps/labyrinth.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 2 rates x 2 weights of the entropy, and at the first of these with rewards clipped to 1 and with pictures as
they are instead of scaled, for 4M frames in new mazes, the rate falling over 10M; then the best with fresh seeds: 3 for
10M frames in new mazes, one in a maze that stays, and 2 for 30M in new mazes, the rate falling over these; 16
actor-learners in virtual time: 6 runs and 6 that follow.
paper: 10 rates, 16 processes: 20 runs of 400M frames.
Core-hours at the scale laptop: 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from _protocol import QUIET, SMOKE, best_of, log_uniform

from a3crepro.sweeping.command import main
from a3crepro.sweeping.experiment import FRESH, Experiment, Run, Scale, Scores, run

Choice = dict[str, object]

MAZES = ("labyrinth", "labyrinth_static")
COMMON = (*QUIET, "evaluation.episodes=40")
LONG = 10_000_000
LAPTOP = (*COMMON, "execution=virtual_time", "evaluation.every=1_000_000", f"optimizer.anneal_frames={LONG}")
"""The runs of the search are the first frames of those of 10M frames."""
PAPER = (*COMMON, "execution=hogwild", "frames=400_000_000", "evaluation.every=4_000_000")
FOLLOWING = (
    (MAZES[0], LONG, range(FRESH, FRESH + 3)),
    (MAZES[1], LONG, range(FRESH, FRESH + 1)),
    (MAZES[0], 3 * LONG, range(FRESH + 3, FRESH + 5)),
)
"""Mazes, frames and seeds of the best choice's runs."""
FIRST: Choice = {"optimizer__lr": 1e-3, "algo__entropy_beta": 3e-3}
CHOICES: Sequence[Choice] = (
    FIRST,
    FIRST | {"env__reward_clip": 1},
    {"optimizer__lr": 1e-3, "algo__entropy_beta": 1e-2},
    {"optimizer__lr": 2e-3, "algo__entropy_beta": 3e-3},
    {"optimizer__lr": 2e-3, "algo__entropy_beta": 1e-2},
    FIRST | {"env__normalise_observations": "false"},
)


def with_fresh_seeds(
    scores: Scores,
    choices: Sequence[Choice],
    short: int,
    following: Sequence[tuple[str, int, Sequence[int]]],
    threads: int = 16,
) -> list[Run]:
    """A run a choice in new mazes, of `short` frames; when all are over, those of the best choice that follow."""
    runs = [
        run(MAZES[0], "a3c", threads=threads, **choice, seed=number, frames=short)
        for number, choice in enumerate(choices)
    ]
    best = best_of(scores, runs, choices)
    if best is None:
        return runs
    return runs + [
        run(maze, "a3c", threads=threads, **best, optimizer__anneal_frames=slower(frames), seed=seed, frames=frames)
        for maze, frames, seeds in following
        for seed in seeds
    ]


def slower(frames: int) -> int | None:
    """Over how many frames the rate falls in runs that are longer than the others."""
    return frames if frames > LONG else None


EXPERIMENT = Experiment(
    "labyrinth",
    "§5.4",
    {
        "smoke": Scale(
            SMOKE,
            lambda scores: with_fresh_seeds(
                scores, CHOICES[:1], 2_000, [(maze, 4_000, [FRESH]) for maze in MAZES], threads=2
            ),
            best=1,
            later=2,
        ),
        "laptop": Scale(
            LAPTOP, lambda scores: with_fresh_seeds(scores, CHOICES, 4_000_000, FOLLOWING), best=1, later=6
        ),
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
