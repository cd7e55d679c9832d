"""Measures the throughput of PFRL's A3C with the paper's network, for comparison within the same hour.

    python -m venv pfrl-env
    pfrl-env/bin/pip install "torch==2.13.*" "gymnasium[atari]" opencv-python-headless pfrl packaging
    pfrl-env/bin/python sweeps/pfrl_throughput.py --game Breakout --processes 2 --seconds 20

PFRL 0.4.0 expects the old gym interface, so Gymnasium's Atari wrappers (faster than PFRL's own) are adapted to it. Its
process seeds are NumPy integers, which `random.seed` rejects since Python 3.11; they are converted here.
Prints a JSON object with the agent steps per second of all processes together.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import random
import signal
import tempfile
import threading
import time

import ale_py
import cv2
import gym
import gymnasium
import numpy as np
import pfrl
import torch.multiprocessing as mp
from pfrl.agents import a3c
from pfrl.optimizers import SharedRMSpropEpsInsideSqrt
from pfrl.policies import SoftmaxCategoricalHead
from torch import nn

cv2.setNumThreads(1)
gymnasium.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)


class OldGymAtari(gym.Env):
    """Adapts Gymnasium's Atari environment to the interface of gym 0.2x; rewards are clipped to their sign."""

    def __init__(self, game, seed):
        env = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0)
        env = gymnasium.wrappers.AtariPreprocessing(env, terminal_on_life_loss=True)
        self.env = gymnasium.wrappers.FrameStackObservation(env, 4)
        self.observation_space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        self.action_space = gym.spaces.Discrete(int(env.action_space.n))
        self.first_seed = seed

    def reset(self, **_):
        observation, _ = self.env.reset(seed=self.first_seed)
        self.first_seed = None
        return observation

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(int(action))
        return observation, np.sign(reward), terminated or truncated, info


def network(actions):
    """The paper's feed-forward network with two outputs, the policy and the value."""
    heads = pfrl.nn.Branched(nn.Sequential(nn.Linear(256, actions), SoftmaxCategoricalHead()), nn.Linear(256, 1))
    return nn.Sequential(
        nn.Conv2d(4, 16, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2592, 256),
        nn.ReLU(),
        heads,
    )


def watch(counters, args, warm_up=5.0):
    """Measures from outside, prints the result, and ends the whole process group."""
    time.sleep(warm_up)
    steps, moment = counters[0].value, time.monotonic()
    time.sleep(args.seconds)
    speed = (counters[0].value - steps) / (time.monotonic() - moment)
    result = {"env": f"atari/{args.game.lower()}", "algo": "a3c", "threads": args.processes}
    print(json.dumps({**result, "steps_per_second": round(speed, 1)}), flush=True)
    os.killpg(os.getpgrp(), signal.SIGTERM)


def main():
    """Trains until `watch` ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--game", default="Breakout")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    os.setpgrp()  # a group of its own, for `watch` to end
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    seed = random.seed
    random.seed = lambda x=None, *rest: seed(x if x is None else int(x), *rest)
    counters, value = [], mp.Value
    mp.Value = lambda *a, **k: counters.append(value(*a, **k)) or counters[-1]  # [0] is the global step counter

    model = network(OldGymAtari(args.game, 0).action_space.n)
    optimizer = SharedRMSpropEpsInsideSqrt(model.parameters(), lr=7e-4, eps=0.1, alpha=0.99)
    agent = a3c.A3C(
        model,
        optimizer,
        t_max=5,
        gamma=0.99,
        beta=0.01,
        max_grad_norm=40.0,
        phi=lambda x: np.asarray(x, dtype=np.float32) / 255,
    )
    threading.Thread(target=watch, args=(counters, args), daemon=True).start()
    pfrl.experiments.train_agent_async(
        agent=agent,
        outdir=tempfile.mkdtemp(),
        processes=args.processes,
        make_env=lambda i, test: OldGymAtari(args.game, i),
        steps=10**9,
        eval_n_steps=None,
        eval_n_episodes=1,
        eval_interval=10**9,
    )


if __name__ == "__main__":
    main()
