"""Components of other packages: found only by entry points of installed distributions."""

import json
import sys
from pathlib import Path

import pytest

from a3crepro import compose, train
from a3crepro.common.errors import UserError
from a3crepro.runs.evaluation import evaluate
from a3crepro.runs.policies import load_policy

METHOD = '''
from a3crepro.algorithms.a3c import A3C


class Bold(A3C):
    """A3C that shows a number on the screen."""

    boldness: float

    def epsilon(self, actor):
        return self.boldness
'''
GAME = '''
import gymnasium as gym
import numpy as np

from a3crepro.common.env_state import SerializableEnv
from a3crepro.environments._environment import Environment


class Guessing(SerializableEnv):
    """Episodes of one step, won by the action that is shown."""

    observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.shown = int(self.np_random.integers(2))
        return np.eye(2, dtype=np.float32)[self.shown], {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action == self.shown), True, False, {}


class GuessingSettings(Environment):
    def make(self, *, training, render=False):
        return Guessing()
'''
ENTRY_POINTS = """
[a3crepro.algorithms]
bold = elsewhere.method:Bold
a3c = elsewhere.method:Bold
missing = elsewhere.nothing
several = elsewhere.several

[a3crepro.environments]
guessing = elsewhere.game
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with an algorithm and an environment; its directory of YAML files."""
    package, metadata = tmp_path / "site" / "elsewhere", tmp_path / "site" / "elsewhere-1.0.dist-info"
    files = {
        package / "__init__.py": "",
        package / "method.py": METHOD,
        package / "game.py": GAME,
        package / "several.py": METHOD + "class Other(Bold): pass\n",
        package / "unnamed.py": "raise SystemExit('this is run')",
        metadata / "METADATA": "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n",
        metadata / "entry_points.txt": ENTRY_POINTS,
        tmp_path / "conf" / "algo" / "bold.yaml": "defaults: [a3c]\n\nname: bold\nboldness: 0.75\n",
        tmp_path / "conf" / "env" / "guessing.yaml": "defaults: [_small]\n\nname: guessing\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(package.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "elsewhere"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "conf"


def test_processes_train_a_method_and_an_environment_of_another_package(elsewhere: Path) -> None:
    overrides = (
        "algo=bold",
        "env=guessing",
        "threads=2",
        "frames=6_000",
        "optimizer.lr=5e-3",
        "evaluation.episodes=50",
    )
    config = compose(*overrides, "logging.tensorboard=false", config_dir=str(elsewhere))
    assert (config.algo.name, config.env.name, config.algo.boldness) == ("bold", "guessing", 0.75)
    directory = elsewhere / "run"
    assert train(config, directory)["score_mean"] > 0.8  # chance: 0.5
    assert json.loads((directory / "manifest.json").read_text())["starts"]
    policy, stored = load_policy(directory), compose(*overrides, config_dir=str(elsewhere))
    assert sum(evaluate(stored, policy, 0, 0, 20)) > 15


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("elsewhere.unnamed", r"^algo\.name: unknown name 'elsewhere\.unnamed'; allowed: a3c, bold, missing, n_.*"),
        ("os", r"^algo\.name: unknown name 'os'"),
        ("_policy", r"^algo\.name: unknown name '_policy'"),
        ("guessing", r"^algo\.name: unknown name 'guessing'"),  # a component of another group
        ("missing", r"^the entry point missing = elsewhere\.nothing of a3crepro\.algorithms is not a component \(M.*"),
        ("several", r"^the entry point several = elsewhere\.several .* is not a component \(.* 2 components\)$"),
    ],
)  # fmt: skip
def test_other_names_are_refused(elsewhere: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(f"algo.name={name}", config_dir=str(elsewhere))


def test_an_entry_point_cannot_replace_a_component_of_this_project(elsewhere: Path) -> None:
    assert type(compose("algo=a3c").algo).__module__ == "a3crepro.algorithms.a3c"
