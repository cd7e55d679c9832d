"""Table 2: speed-up of n actor-learners over one in reaching a reference score.

  python sweeps/thread_scaling.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]

laptop: 4 methods x 1, 4, 16 actor-learners in virtual time x 8 rates on MinAtar Breakout, then the best rate of each
cell with 6 fresh seeds, since the best rate depends on the threads and the best of several runs is biased upwards: 96
and 72 runs of 600,000 frames, including 32 from `learning_rates.py`.
paper: 7 games x 4 methods x 1, 2, 4, 8, 16 processes x the 50 rates: 7,000 runs of 200M frames.
`data_efficiency.py` (Figures 3, S9) and `training_speed.py` (Figures 4, S10) are views of the same runs.
Core-hours at the scale laptop: 4.2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from a3crepro.experiments.command import main
from a3crepro.experiments.experiment import Experiment, Run, Scale, Scores
from sweeps._protocol import EIGHT, FORTY, LAPTOP, LAPTOP_GAME, METHODS, PAPER, PAPER_GAMES, PAPER_RATES, SMOKE
from sweeps.learning_rates import grid, held_out_seeds


def cells(games: Iterable[str], threads: Iterable[int], rates: Sequence[float]) -> list[Run]:
    """All rates with each number of threads."""
    return [one for n in threads for one in grid(games, rates, threads=n)]


def with_held_out_seeds(
    scores: Scores, game: str, threads: Sequence[int], rates: Sequence[float], seeds: int
) -> list[Run]:
    """The same, plus the best rate of each complete cell with this many fresh seeds."""
    runs = cells([game], threads, rates)
    for n in threads:
        for method in METHODS:
            runs += held_out_seeds(scores, {game: seeds}, method, rates, n)
    return runs


EXPERIMENT = Experiment(
    "thread_scaling",
    "Table 2",
    {
        "smoke": Scale(
            SMOKE, lambda scores: with_held_out_seeds(scores, LAPTOP_GAME, (1, 2), FORTY[:1], 1), best=1, later=8
        ),
        "laptop": Scale(
            LAPTOP, lambda scores: with_held_out_seeds(scores, LAPTOP_GAME, (1, 4, 16), EIGHT, 6), best=1, later=72
        ),
        "paper": Scale(
            PAPER,
            lambda scores: cells((*PAPER_GAMES, "enduro", "seaquest"), (1, 2, 4, 8, 16), PAPER_RATES),
            best=3,
        ),
    },
)


def view(name: str, figure: str) -> Experiment:
    """A view of the same runs in the paper's five games, for another figure."""
    paper = replace(EXPERIMENT.scales["paper"], runs=lambda scores: cells(PAPER_GAMES, (1, 2, 4, 8, 16), PAPER_RATES))
    return Experiment(name, figure, {**EXPERIMENT.scales, "paper": paper}, EXPERIMENT.name)


if __name__ == "__main__":
    main(EXPERIMENT)
