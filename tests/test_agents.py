"""Trained agents: exported from a run, they play as the run's last parameters play, and loading executes nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from a3crepro import compose, load_policy, train
from a3crepro.agents import CARD, PARAMETERS, VIDEO, export_command
from a3crepro.common.errors import RunError, UserError
from a3crepro.evaluate import evaluate_command
from a3crepro.experiments.figures import random_score
from a3crepro.play import play, play_command
from a3crepro.runs.policies import NetworkPolicy, policy_with_overrides, stored_policy

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = sorted(path.parent for path in (ROOT / "agents").glob(f"*/{CARD}"))


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """A run and the agent that was exported from it."""
    directory = tmp_path_factory.mktemp("agents")
    words = ("env=toy/catch", "threads=2", "execution=virtual_time", "frames=500", "logging.tensorboard=false")
    train(compose(*words, "evaluation.episodes=0"), directory / "run")
    export_command([str(directory / "run"), str(directory / "catch"), "episodes=6", "seed=7"])
    return directory / "run", directory / "catch"


def test_an_agent_is_the_runs_last_parameters(agent):
    run, exported = map(stored_policy, agent)
    assert np.array_equal(run.snapshot.parameters, exported.snapshot.parameters)
    assert (run.config, run.frames) == (exported.config, exported.frames)
    assert sorted(path.name for path in agent[1].iterdir()) == sorted([CARD, PARAMETERS, VIDEO, "config.yaml"])


def test_its_card_repeats_by_its_own_command(agent, capsys):
    card = yaml.safe_load((agent[1] / CARD).read_text().split("---\n")[1])
    assert (card["env"], card["episodes"], card["evaluation_seed"], card["licence"]) == ("toy/catch", 6, 7, "MIT")
    assert card["frames"] == stored_policy(agent[0]).frames
    for directory in agent:
        evaluate_command([str(directory), "episodes=6", "seed=7"])
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["score_mean"] == card["score_mean"]
    assert f"python -m a3crepro.evaluate {agent[1]} episodes=6 seed=7" in (agent[1] / CARD).read_text()


def test_an_agent_has_the_normaliser_of_its_observations(tmp_path):
    words = ("env=gym", "env.id=Pendulum-v1", "env.normalise_observations=true", "network=mlp", "threads=1")
    train(compose(*words, "frames=300", "evaluation.episodes=0", "logging.tensorboard=false"), tmp_path / "run")
    export_command([str(tmp_path / "run"), str(tmp_path / "agent"), "episodes=1", "video=false"])
    config, snapshot, _ = stored_policy(tmp_path / "agent")
    assert snapshot.sums[0] >= 300  # observations
    np.testing.assert_array_equal(snapshot.sums, stored_policy(tmp_path / "run").snapshot.sums)
    mean, squares = (snapshot.sums[1:] / snapshot.sums[0]).reshape(2, 3)
    raw, plain = np.array([0.5, -0.5, 3.0], np.float32), snapshot._replace(sums=np.zeros(0))
    by_hand = ((raw - mean) / np.sqrt(squares - mean**2)).astype(np.float32)
    actions = [
        NetworkPolicy(config, policy).act(observation, np.random.default_rng(0))
        for policy, observation in ((snapshot, raw), (plain, by_hand), (plain, raw))
    ]
    np.testing.assert_allclose(actions[0], actions[1], rtol=1e-5)
    assert not np.allclose(actions[0], actions[2], rtol=1e-3)


def test_an_agent_is_loaded_in_python(agent):
    policies = [load_policy(directory) for directory in agent]
    env = compose("env=toy/catch").env.make(training=False)
    observation, _ = env.reset(seed=0)
    one, other = (policy.act(observation, np.random.default_rng(0)) for policy in policies)
    assert one == other


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.max_frames=[1", r"^evaluation\.max_frames=\[1: not a valid override \("),
        ("threads=@x", r"^threads=@x: not a valid override \("),
        ("++env.kwargs.x=1", r"^env\.kwargs: unknown key; allowed: "),
        ("~env.title=1", r"^~env: unknown key; allowed: "),
    ],
)
def test_a_wrong_override_of_an_agent_is_one_line(agent, override, message):
    with pytest.raises(UserError, match=message) as raised:
        policy_with_overrides(agent[1], [override])
    assert "\n" not in str(raised.value)


def test_a_reference_policy_is_not_played_instead_of_an_agent(agent):
    for command in (play_command, evaluate_command):
        with pytest.raises(
            UserError, match=r"^policy: only valid with env=…, not with the directory of a run or an agent"
        ):
            command([str(agent[1]), "policy=random"])


def test_an_agent_plays_in_a_window_until_it_is_closed(agent):
    class Window:
        shown = 0

        def show(self, picture, caption, fps):
            self.shown += 1
            return frozenset() if self.shown < 30 else None

    config, window = stored_policy(agent[1]).config, Window()
    env = config.env.make(training=False, render=True)
    play(config, env, window, load_policy(agent[1]))
    assert window.shown == 30


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x80\x04\x95\x10cos\nsystem\n"])
def test_damaged_parameters_are_one_line(agent, tmp_path, content):
    (tmp_path / "config.yaml").write_text((agent[1] / "config.yaml").read_text())
    (tmp_path / PARAMETERS).write_bytes(content)
    with pytest.raises(UserError, match="does not contain an agent's parameters") as raised:
        stored_policy(tmp_path)
    assert "\n" not in str(raised.value)


def test_an_export_into_a_run_is_refused_and_one_of_an_agent_too(agent):
    run, exported = agent
    before = {path: path.read_bytes() for directory in agent for path in directory.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="is the directory of a run"):
        export_command([str(run), str(run), "episodes=1"])
    with pytest.raises(UserError, match="is an agent already"):
        export_command([str(exported), str(run.parent / "other"), "episodes=1"])
    assert {path: path.read_bytes() for path in before} == before and not (run.parent / "other").exists()


def test_an_export_deletes_no_file_that_is_not_an_agent_s(agent, tmp_path):
    (tmp_path / CARD).write_text("mine")
    with pytest.raises(UserError, match="holds files that are not an agent's"):
        export_command([str(agent[0]), str(tmp_path), "episodes=1"])
    with pytest.raises(UserError, match="is not a directory"):
        export_command([str(agent[0]), str(tmp_path / CARD), "episodes=1"])
    assert [path.name for path in tmp_path.iterdir()] == [CARD] and (tmp_path / CARD).read_text() == "mine"


def test_an_export_that_fails_leaves_the_agent_that_was_there(agent, tmp_path, monkeypatch):
    exported = tmp_path / "catch"
    shutil.copytree(agent[1], exported)
    before = {path.name: path.read_bytes() for path in exported.iterdir()}

    def fail(*_):
        raise UserError("no frame")

    for missing in ("check_rendering", "record_video"):
        with monkeypatch.context() as patch:
            patch.setattr(f"a3crepro.agents.{missing}", fail)
            with pytest.raises(UserError, match="no frame"):
                export_command([str(agent[0]), str(exported), "episodes=1"])
        assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


def test_an_export_without_a_video_leaves_none_of_an_earlier_one(agent, tmp_path):
    (tmp_path / VIDEO).write_bytes(b"of another policy")
    export_command([str(agent[0]), str(tmp_path), "episodes=1", "video=false"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CARD, PARAMETERS, "config.yaml"])


def test_the_evaluation_on_a_card_is_repeated(agent, tmp_path, capsys):
    export_command([str(agent[1])])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["exact"] is True and found["p"] == 1 and found["score_mean"] == found["card_score_mean"]
    shutil.copytree(agent[1], tmp_path / "other")
    card = tmp_path / "other" / CARD
    card.write_text(card.read_text().replace(f"score_mean: {found['score_mean']}", "score_mean: 99.0"))
    with pytest.raises(RunError, match=r"other: the mean score is .*, on its card 99"):
        export_command([str(tmp_path / "other")])
    text = card.read_text()
    for damaged, said in (
        ("no card", "it has no facts"),
        (text.replace("episodes: 6", "episodes: six"), "episodes should be a number, got 'six'"),
        (text.replace("score_std", "score_sdt", 1), "score_std should be a number, got None"),
    ):
        card.write_text(damaged)
        with pytest.raises(UserError, match=f"is not an agent card: {said}"):
            export_command([str(tmp_path / "other")])


@pytest.mark.parametrize("words", [[], ["one", "episodes=3"], ["one", "two", "three"]])
def test_an_export_needs_two_directories(words):
    with pytest.raises(UserError, match="expected a run's directory and an agent's, or"):
        export_command(words)


def test_a_misspelt_key_is_no_directory(agent):
    with pytest.raises(UserError, match=r"^vido: unknown key; allowed: episodes, seed, video, which, and directories$"):
        export_command([str(agent[0]), "vido=false"])
    with pytest.raises(UserError, match=r"^video: allowed: true, false; got 'yes'$"):
        export_command([*map(str, agent), "video=yes"])


def test_the_card_is_of_the_policy_that_was_evaluated_even_if_the_run_trains_on(tmp_path, monkeypatch):
    def trained(frames):
        words = ("env=toy/catch", "threads=2", "execution=virtual_time", "logging.tensorboard=false")
        more = ("evaluation.episodes=0", "optimizer.anneal_frames=2000", f"frames={frames}")
        train(compose(*words, *more), tmp_path / "run")
        return stored_policy(tmp_path / "run")

    def evaluated(config, policy, seed, frames, episodes):
        after.append(trained(900))
        return [1.0] * episodes

    before, after = trained(500), []
    monkeypatch.setattr("a3crepro.agents.evaluate", evaluated)
    export_command([str(tmp_path / "run"), str(tmp_path / "agent"), "episodes=2", "video=false"])
    exported = stored_policy(tmp_path / "agent")
    assert exported.frames == before.frames < after[0].frames
    assert np.array_equal(exported.snapshot.parameters, before.snapshot.parameters)


def test_loading_imports_no_module_that_only_the_configuration_names(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside_an_agent.py").write_text("print('executed')")
    words = ("env=gym", "env.id=CartPole-v1", "threads=1", "execution=virtual_time", "frames=200")
    train(compose(*words, "evaluation.episodes=0", "logging.tensorboard=false"), tmp_path / "run")
    stored = tmp_path / "run" / "config.yaml"
    stored.write_text(stored.read_text().replace("CartPole-v1", "beside_an_agent:CartPole-v1"))
    with pytest.raises(UserError, match=r"env\.id: a stored configuration does not import 'beside_an_agent'") as raised:
        load_policy(tmp_path / "run")
    assert "\n" not in str(raised.value)
    assert "executed" not in capsys.readouterr().out
    evaluate_command([str(tmp_path / "run"), "env.id=beside_an_agent:CartPole-v1", "episodes=1"])  # named by the user
    assert "executed" in capsys.readouterr().out
    load_policy(tmp_path / "run")  # imported by now


def test_loading_imports_modules_of_installed_distributions(tmp_path):
    words = ("env=gym", "env.id=ale_py.env:CartPole-v1", "threads=1", "execution=virtual_time", "frames=200")
    train(compose(*words, "evaluation.episodes=0", "logging.tensorboard=false"), tmp_path)
    load_policy(tmp_path)


@pytest.mark.parametrize("directory", COMMITTED, ids=lambda path: path.name)
def test_committed_agents_are_what_their_cards_say(directory):
    card = yaml.safe_load((directory / CARD).read_text().split("---\n")[1])
    config, snapshot, frames = stored_policy(directory)
    NetworkPolicy(config, snapshot)
    described = {"env": config.env.title, "algo": config.algo.name, "network": config.network.title,
                 "frames": frames, "seed": config.seed}  # fmt: skip
    assert {key: card[key] for key in described} == described
    assert card["episodes"] == 100 and card["evaluation_seed"] >= 1_000_000 and len(card["commit"]) == 40
    assert f"agents/{directory.name} " in (directory / CARD).read_text()
    assert card["score_mean"] - card["score_std"] > random_score(card["env"].removeprefix("atari/"))


@pytest.mark.slow
@pytest.mark.parametrize("directory", COMMITTED, ids=lambda path: path.name)
def test_committed_agents_score_what_their_cards_say(directory, capsys):
    export_command([str(directory)])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["p"] > 0.001
