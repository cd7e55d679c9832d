"""Stable-Baselines3's DQN on a MinAtar game, with the settings of MinAtar's authors, for its scores and its time.

  pip install "stable-baselines3>=2.7,<3"
  python sweeps/sb3_dqn.py [game=breakout] [frames=5_000_000] [seed=0]

The network, replay, target, ε and RMSProp are those of Young and Tian (2019) and their `examples/dqn.py`; the learning
rate is the best of those they tried in this game. One run in one process with one thread. Adds a row to
`results/references/sb3_dqn.csv` every 50,000 frames: the mean score of the last 100 training episodes, as they report
it, and the seconds so far.
"""

import collections
import csv
import sys
import time

import numpy as np
import pandas as pd
import torch
from stable_baselines3 import DQN, __version__
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from a3crepro.config import compose
from a3crepro.experiments.measurements import provenance
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.arguments import Key, only_own_arguments, whole_number
from a3crepro.runs.command_line import run_command

TABLE = RESULTS / "references" / "sb3_dqn.csv"
EVERY = 50_000
"""Frames between rows."""
EPISODES = 100


class Convolution(BaseFeaturesExtractor):
    """16 filters of 3x3, rectified; a rectified layer of 128 units follows."""

    def __init__(self, space) -> None:
        channels, height, width = space.shape
        super().__init__(space, 16 * (height - 2) * (width - 2))
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(channels, 16, 3), torch.nn.ReLU(), torch.nn.Flatten())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features [batch, n] of observations of 0 and 1."""
        return self.layers(observations)


class Recorder(BaseCallback):
    """Adds rows to the table."""

    def __init__(self, known: dict[str, object]) -> None:
        super().__init__()
        self.known, self.scores, self.began = known, collections.deque(maxlen=EPISODES), time.monotonic()

    def _on_step(self) -> bool:
        self.scores.extend(info["episode"]["r"] for info in self.locals["infos"] if "episode" in info)
        if self.num_timesteps % EVERY == 0 and self.scores:
            self._add_row(float(np.mean(self.scores)))
        return True

    def _add_row(self, score: float) -> None:
        seconds = round(time.monotonic() - self.began, 1)
        row = {**self.known, "frames": self.num_timesteps, "seconds": seconds, "score": round(score, 3), **provenance()}
        is_new = not TABLE.exists()
        with open(TABLE, "a", newline="") as file:
            table = csv.DictWriter(file, list(row), lineterminator="\n")
            if is_new:
                table.writeheader()
            table.writerow(row)
        print(f"{row['frames']:,} frames, {seconds:.0f} s: {score:.2f}", flush=True)


def agent(game: str, seed: int, frames: int) -> DQN:
    """The agent, before training."""
    env = Monitor(compose(f"env=minatar/{game}").env.make(training=True))
    published = pd.read_csv(RESULTS / "paper" / "other_minatar.csv").set_index(["game", "method"])
    base, _, exponent = published.loc[(game, "dqn"), "best_step_size"].partition("^")
    policy = {
        "features_extractor_class": Convolution,
        "net_arch": [128],
        "normalize_images": False,
        "optimizer_class": torch.optim.RMSprop,
        "optimizer_kwargs": {"alpha": 0.95, "centered": True, "eps": 0.01},
    }
    return DQN(
        "CnnPolicy", env, policy_kwargs=policy, learning_rate=float(base) ** float(exponent), buffer_size=100_000,
        learning_starts=5_000, batch_size=32, train_freq=1, gradient_steps=1, target_update_interval=1_000, gamma=0.99,
        exploration_fraction=100_000 / frames, exploration_final_eps=0.1, max_grad_norm=float("inf"), seed=seed,
        device="cpu",
    )  # fmt: skip


def main() -> None:
    """Trains as the command line specifies."""
    keys = {"game": Key(default="breakout"), "frames": whole_number(EVERY, 5_000_000), "seed": whole_number(0, 0)}
    own = only_own_arguments(sys.argv[1:], keys)
    torch.set_num_threads(1)
    known = {
        "agent": f"Stable-Baselines3 {__version__} DQN",
        "env": f"minatar/{own.game}",
        "seed": own.seed,
        "command": " ".join(["python", "sweeps/sb3_dqn.py", *sys.argv[1:]]),
    }
    agent(own.game, own.seed, own.frames).learn(own.frames, callback=Recorder(known))


if __name__ == "__main__":
    run_command(main, __doc__)
