"""Mistakes on the command line and in files: one line, with what was probably meant."""

from pathlib import Path
from typing import Any

import gymnasium
import pytest
from config_helpers import composed, mistake, refused

from a3crepro.config import choices, compose

OWN = {
    "env/my.yaml": "defaults: [toy/catch]\n",
    "env/mine.yaml": "defaults: [toy/cue_memory, _self_]\nreward_clip: 2\n",
    "env/deep/my.yaml": "defaults: [/env/minatar/asterix]\n",
    "experiment/fast.yaml": "# @package _global_\ndefaults:\n  - override /algo: n_step_q\nthreads: 2\n",
    "trial.yaml": "defaults: [config, experiment: fast, _self_]\n",
    "experiment/slow.yaml": "# @package _global_\nthreads: 1\n",
}


@pytest.fixture
def own(tmp_path: Path) -> str:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return str(tmp_path)


@pytest.mark.parametrize("plus", ["", "+", "++"])
@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        ("thread=3", "thread", "threads"),
        ("algo.entropy=0.1", "algo.entropy", "entropy_beta"),
        ("env.schedule.frame=3", "env.schedule.frame", "frames"),
        ("new.nested.key=3", "new", "optimizer"),
    ],
)
def test_an_unknown_key_is_refused_with_or_without_a_plus(plus: str, override: str, key: str, allowed: str) -> None:
    message = refused(plus + override)
    assert message.startswith(f"{key}: unknown key")
    assert allowed in message.partition("allowed: ")[2].split(", ")
    assert key == "new" or message.partition("allowed: ")[2].startswith(allowed), "the most similar first"


@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        ("algo=a2c", "algo", ", ".join(choices("algo"))),
        ("env=brakout", "env", "did you mean breakout"),
        ("env=minatar/brekout", "env", "minatar/breakout"),
        ("env=minatar", "env", "minatar/breakout"),
        ("network=resnet", "network", "mnih2013_lstm"),
        ("optimizer=adamw", "optimizer", ", ".join(choices("optimizer"))),
        ("execution=cluster", "execution", "hogwild"),
        ("algo=null", "algo", "one_step_q"),
        ("network=null", "network", "mnih2015"),
        ("algo=3", "algo", "one_step_q"),
        ("env=BreakoutNoFrameskip-v4", "env", "did you mean breakout?"),
        ("env=ALE/SpaceInvaders-v5", "env", "did you mean space_invaders?"),
        ("env=Breakout", "env", "did you mean breakout?"),
        ("env=MinAtar/Breakout-v1", "env", "did you mean minatar/breakout?"),
        ("env=cheetah-run", "env", "did you mean control/cheetah_run?"),
        ("env=CartPole-v1", "env", "did you mean env=gym env.id=CartPole-v1?"),
        ("env=cartpole", "env", "did you mean env=gym env.id=CartPole-v1?"),
        ("algo=A3C", "algo", "did you mean a3c?"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_allowed(override: str, key: str, allowed: str) -> None:
    message = refused(override)
    assert message.startswith(key)
    assert allowed in message


@pytest.mark.parametrize("group", ["algo", "env", "network", "optimizer", "execution"])
@pytest.mark.parametrize(
    "name", ["_algorithm", "_environment", "_network", "os", "../x", "a3crepro", "", None, 3, ["a"]]
)
def test_a_name_reaches_no_module_but_the_group_s_own(group: str, name: Any) -> None:
    plain = composed("env=toy/catch").model_dump()
    message = mistake(plain, (group, "name"), name)
    own = {"algo": "one_step_sarsa", "env": "minatar", "network": "mnih2015", "optimizer": "rmsprop"}
    assert own.get(group, "hogwild") in message.partition("allowed")[2]


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("lr=1e-3", "optimizer.lr"),
        ("learning_rate=1e-3", "optimizer.lr"),
        ("gamma=0.9", "algo.gamma"),
        ("algo.lr=1e-3", "optimizer.lr"),
        ("num_workers=4", "threads"),
        ("total_timesteps=1e6", "frames"),
        ("frames=20M", "frames=20_000_000"),
        ("frames=1.5k", "frames=1_500"),
        ("frames=1B", "frames=1_000_000_000"),
        ("frames=20,000,000", "frames=20_000_000"),
    ],
)
def test_what_was_meant_is_told(override: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refused("env=toy/catch", override)


@pytest.mark.parametrize("value", ["[1]", "null", "'2'", "true", "2.5", "two", "0", "-1", "nan", "inf", "{a: 1}", ""])
def test_a_bad_value_on_the_command_line_is_refused(value: str) -> None:
    assert refused(f"threads={value}").startswith("threads: ")


@pytest.mark.parametrize("value", ["0", "-1e-3", "nan", "inf", "-inf", "null", "'1e-3'", "true", "[1e-3]"])
def test_a_bad_learning_rate_on_the_command_line_is_refused(value: str) -> None:
    assert refused(f"optimizer.lr={value}").startswith("optimizer.lr: ")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("threads", "threads"),
        ("=3", "=3"),
        ("~threads", "threads"),
        ("~nonsense", "nonsense"),
        ("threads=1,2", "threads"),
        ("threads=[1", "[1"),
        ("optimizer.lr=${nothing}", "nothing"),
        ("optimizer.lr=???", "lr"),
        ("optimizer.lr=${log_uniform:1e-2,1e-4,1}", "optimizer.lr"),
        ("optimizer.lr=${log_uniform:1e-4,1e-2}", "key"),
        ("env.schedule=null", "env.schedule"),
    ],
)
def test_what_cannot_be_read_is_one_line_too(override: str, says: str) -> None:
    assert says in refused(override)


def test_an_unknown_game_is_refused_with_those_there_are() -> None:
    message = refused("env.game=brakout")
    assert message.startswith("env.game: ")
    assert "breakout" in message
    assert refused("env=minatar/asterix", "env.game=pong").startswith("env.game: ")


@pytest.mark.parametrize(
    "env_id",
    ["Nothing-v0", "CartPole-v99", "no_such_module:CartPole-v1", "..relative:CartPole-v1", "", "x y"],
)
def test_an_environment_that_gymnasium_does_not_have_or_that_does_not_fit_is_refused(env_id: str) -> None:
    assert refused("env=gym", f"env.id='{env_id}'").startswith("env.id: ")


def test_an_environment_whose_library_is_not_installed_is_refused() -> None:
    def needs_a_library(**_: Any) -> Any:
        raise gymnasium.error.DependencyNotInstalled("install box2d")

    gymnasium.register("a3crepro-tests/NeedsALibrary-v0", needs_a_library)
    message = refused("env=gym", "env.id=a3crepro-tests/NeedsALibrary-v0")
    assert message.startswith("env.id: ")
    assert "install box2d" in message


@pytest.mark.parametrize(
    ("env", "network"),
    [("toy/catch", "mnih2013"), ("toy/catch", "minatar"), ("minatar/asterix", "mnih2015_lstm"), ("pong", "minatar")],
)
def test_a_network_that_does_not_fit_is_refused_with_what_it_takes(env: str, network: str) -> None:
    message = refused(f"env={env}", f"network={network}")
    assert message.startswith("network")
    assert "84" in message or "10, 10" in message


def test_mistakes_in_a_file_are_told_like_those_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env/mine.yaml").write_text("defaults:\n  - _atari\n\ngame: pong\naction_repaet: 2\n")
    here = str(tmp_path)
    assert refused("env=mine", config_dir=here).startswith("env.action_repaet: unknown key; allowed: action_repeat")
    assert "mine" in refused("env=mien", config_dir=here)
    assert "nowhere" in refused(config_dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["env=my"], ["env=toy/catch"]),
        (["env=mine"], ["env=toy/cue_memory", "env.reward_clip=2"]),
        (["env=deep/my"], ["env=minatar/asterix"]),
        (["+experiment=fast"], ["algo=n_step_q", "threads=2"]),
        (["experiment=slow"], ["threads=1"]),
    ],
)
def test_files_of_one_s_own_compose_as_hydra_has_it(own: str, words: list[str], same: list[str]) -> None:
    words, same = ([*some, *([] if "env" in some[0] else ["env=toy/catch"])] for some in (words, same))
    name = "trial" if "experiment=slow" in words else "config"
    extra = ["algo=n_step_q"] if name == "trial" else []  # trial.yaml has fast.yaml's choice of it, slow.yaml none
    assert compose(*words, *extra, config_dir=own, config_name=name) == compose(*same, *extra)


def test_a_group_that_is_not_in_the_defaults_is_told_how_to_add(own: str) -> None:
    assert "+experiment=fast" in refused("experiment=fast", config_dir=own)


@pytest.mark.parametrize("env", ["toy/catch", "minatar/breakout", "racing/fast", "control/reacher_easy_pixels"])
def test_an_environment_of_a_folder_can_be_built_on(tmp_path: Path, env: str) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env/my.yaml").write_text(f"defaults: [{env}]\n")
    assert compose("env=my", config_dir=str(tmp_path)) == composed(f"env={env}")


def test_a_whole_file_of_one_s_own_can_be_named(tmp_path: Path) -> None:
    """As `--config-dir DIR --config-name trial` gives them."""
    (tmp_path / "trial.yaml").write_text("defaults:\n  - config\n  - _self_\n\nthreads: 0\n")
    assert refused(config_dir=str(tmp_path), config_name="trial").startswith("threads: ")
    assert compose("threads=3", config_dir=str(tmp_path), config_name="trial").threads == 3
