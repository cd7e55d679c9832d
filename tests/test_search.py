"""Searches with Optuna: the space, mistakes, interruptions, failures."""

import json
import math
import signal
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
from cli_helpers import directories, is_one_line
from helpers import finished, gone_within, running
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from a3crepro.common.errors import RunError, UserError
from a3crepro.config import SearchConfig, groups, search_space
from a3crepro.experiments.search import SearchRecord, distribution, name_of, search
from a3crepro.experiments.statistics import LAST
from a3crepro.runs.run_directory import EVALUATIONS, DirectoryInUse

# ---- The space -------------------------------------------------------------------------------------------------------

SPACES = {
    "x=interval(0,1)": FloatDistribution(0, 1),
    "x=interval(-1e-3,2.5)": FloatDistribution(-1e-3, 2.5),
    "x=tag(log,interval(1e-4,1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
    "x=int(interval(1,16))": IntDistribution(1, 16),
    "x=tag(log,int(interval(1,64)))": IntDistribution(1, 64, log=True),
    "x=range(1,9)": IntDistribution(1, 8),  # Hydra's range excludes its end
    "x=range(2,11,3)": IntDistribution(2, 8, step=3),
    "x=range(5)": IntDistribution(0, 4),
    "x=range(8,0,-2)": IntDistribution(2, 8, step=2),
    "x=range(0.1,0.5,0.1)": FloatDistribution(0.1, 0.4, step=0.1),
    "x=choice(a,b,c)": CategoricalDistribution(("a", "b", "c")),
    "x=1e-3,1e-2": CategoricalDistribution(("0.001", "0.01")),
    "x=choice(1,1,2)": CategoricalDistribution(("1", "2")),
    "x=shuffle(range(1,4))": IntDistribution(1, 3),
}


@pytest.mark.parametrize(("text", "expected"), SPACES.items(), ids=SPACES)
def test_an_override_spans_what_hydra_says(text, expected):
    assert distribution(search_space([text]).domains["x"]) == expected


def test_choices_mean_what_they_would_alone():
    choices = search_space(["x=null,true,5,[1,2],'a b','5'"]).domains["x"].choices
    parsed = OverridesParser.create().parse_overrides([f"x={choice}" for choice in choices])
    assert [override.value() for override in parsed] == [None, True, 5, [1, 2], "a b", "5"]


def test_the_last_override_of_a_key_counts():
    space = search_space(["x=choice(1,2)", "y=3", "x=5", "y=interval(0,1)", "hydra.sweeper.seed=1"], {"z": "range(3)"})
    assert (list(space.fixed.values()), list(space.domains)) == (["x=5"], ["z", "y"])
    assert space.overrides({"z": 2, "y": 0.123456789}) == ["x=5", "z=2", "y=0.123457"]


def test_each_end_and_choice_is_tried_for_mistakes():
    space = search_space(["seed=1", "a=choice(p,q,r)", "b=interval(0,2)", "c=range(3)"])
    tried = [tuple(override.partition("=")[2] for override in job[1:]) for job in space.probes()]
    assert tried == [("p", "0", "0"), ("q", "0", "0"), ("r", "0", "0"), ("p", "1.0246", "0"), ("p", "2", "0"),
                     ("p", "0", "2")]  # fmt: skip


QUICK = ("env=toy/catch", "execution=virtual_time", "threads=1", "frames=300", "network=mlp",
         "logging.tensorboard=false", "evaluation.every=100", "evaluation.episodes=2")  # fmt: skip
SEARCH = ("--multirun", "hydra/sweeper=optuna", *QUICK)
RATES = "optimizer.lr=tag(log,interval(1e-4,1e-1))"

MISTAKES = {
    "nothing to search": (("seed=1",), "hydra/sweeper=optuna: nothing to search"),
    "an unknown tag": (("optimizer.lr=tag(logarithm,interval(1e-4,1e-1))",), "unknown tag logarithm; allowed: log"),
    "a logarithm of 0": (("optimizer.lr=tag(log,interval(0,1))",), "should have 0 < low < high"),
    "a logarithm of choices": (("threads=tag(log,range(1,9))",), "only an interval can have the tag log"),
    "an interval from right to left": (("optimizer.lr=interval(1,0.1)",), "should have low < high"),
    "an empty range": (("threads=range(3,3)",), "the range is empty"),
    "an end that is out of range": (("optimizer.lr=interval(-1,1)",), "optimizer.lr: "),
    "the other end": (("algo.gamma=interval(0.9,1.1)",), "algo.gamma: "),
    "fractions of a count": (("threads=interval(1,16)",), "threads: "),
    "an unknown choice": (("optimizer=choice(rmsprop,rmsprob)",), "optimizer: unknown choice 'rmsprob'"),
    "an unknown key": (("threds=range(1,3)",), "threds: unknown key; allowed: threads"),
    "an unknown fixed key": ((RATES, "threds=3"), "threds: unknown key; allowed: threads"),
    "an unknown key of the sweeper": ((RATES, "hydra.sweeper.n_trails=3"),
                                      "hydra.sweeper.n_trails: unknown key; allowed: n_trials"),
    "no trials": ((RATES, "hydra.sweeper.n_trials=0"), "hydra.sweeper.n_trials: "),
    "no jobs": ((RATES, "hydra.sweeper.n_jobs=0"), "hydra.sweeper.n_jobs: should be a whole number of at least 1"),
    "an unknown direction": ((RATES, "hydra.sweeper.direction=up"), "hydra.sweeper.direction: "),
    "an unknown launcher": ((RATES, "hydra/launcher=locl"), "hydra/launcher: unknown choice 'locl'"),
    "no score": ((RATES, "evaluation.episodes=0"), "evaluation.episodes: a search compares scores"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_made(command, tmp_path, words, said):
    status, _, line = command(*SEARCH, *words)
    assert status == 2
    assert is_one_line(line, said), line
    assert list(tmp_path.iterdir()) == []


def test_an_interval_needs_the_sweeper(command):
    status, _, line = command("--multirun", *QUICK, RATES)
    assert status == 2
    assert is_one_line(line, "intervals need hydra/sweeper=optuna"), line


def test_without_optuna_its_extra_is_named(command, monkeypatch):
    monkeypatch.setattr(groups, "_is_installed", lambda module: False)
    status, _, line = command(*SEARCH, RATES)
    assert status == 2
    assert is_one_line(line, "hydra/sweeper=optuna: needs optuna", 'pip install "a3crepro[search]"'), line


# ---- Interruptions and failures, without training --------------------------------------------------------------------

SPACE = search_space(["env=a", "x=interval(-1,1)", "y=choice(p,q)", "z=range(10)"])


def settings(**values):
    keys = {"n_trials": 15, "n_jobs": 1, "direction": "maximize", "sampler": "tpe", "seed": 0, "storage": None,
            "study_name": None, "params": None}  # fmt: skip
    return SearchConfig(**{**keys, **values})


class Interrupted(KeyboardInterrupt):
    pass


class Launcher:
    """Runs jobs in no time. A run that finished is not run again, as if `train` did."""

    def __init__(self, root, interrupt=(), failures=None):
        self.root, self.interrupt, self.failures = root, set(interrupt), failures or {}
        self.begun, self.trained, self.launched = 0, [], []

    def __call__(self, jobs, index):
        self.launched.append(len(jobs))
        return [self.run(tuple(overrides)) for overrides in jobs]

    def run(self, overrides):
        directory = self.root / "runs" / " ".join(overrides)
        job = JobReturn(status=JobStatus.COMPLETED)
        job.hydra_cfg = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(directory)}}})
        if (directory / "evaluations.csv").exists():
            return job
        directory.mkdir(parents=True, exist_ok=True)
        self.begun += 1
        if self.begun in self.interrupt:
            raise Interrupted
        if error := self.failures.get(self.begun):
            job.status, job._return_value = JobStatus.FAILED, error
            return job
        self.trained.append(overrides)
        write_evaluations(directory, [score(overrides)])
        return job


def score(overrides):
    x, y, z = (override.partition("=")[2] for override in overrides[-3:])
    return (y == "q") - (float(x) - 0.3) ** 2 - (int(z) - 4) ** 2 / 100


def write_evaluations(directory, scores):
    rows = [",".join(str(found) if column == "score_mean" else "1" for column in EVALUATIONS) for found in scores]
    (directory / "evaluations.csv").write_text("\n".join([",".join(EVALUATIONS), *rows]) + "\n")


def table(root, config=None):
    found = name_of(config or settings(), SPACE)
    return pd.read_csv(root / "searches" / f"{found}.csv")


@pytest.fixture(scope="module", params=[1, 4], ids=["one at a time", "four"])
def unbroken(request, tmp_path_factory):
    root, config = tmp_path_factory.mktemp("search"), settings(n_jobs=request.param)
    launcher = Launcher(root)
    search(launcher, config, SPACE, root)
    assert len(launcher.trained) == 15 and max(launcher.launched) == request.param
    return config, table(root)


def test_a_search_learns_from_its_trials(unbroken):
    _, trials = unbroken
    assert trials["score"].tolist() == pytest.approx([score(row) for row in overrides_of(trials)])
    assert trials["score"][10:].mean() > trials["score"][:10].mean() + 0.1  # the first ten are random


def overrides_of(trials):
    return [(f"x={x:.6g}", f"y={y}", f"z={z}") for x, y, z in trials[["x", "y", "z"]].itertuples(index=False)]


@pytest.mark.parametrize("first", [1, 9, *(pytest.param(first, marks=pytest.mark.slow) for first in (4, 15))])
def test_a_search_that_is_interrupted_goes_on_as_if_it_were_not(tmp_path, unbroken, first):
    config, trials = unbroken
    launcher = Launcher(tmp_path, interrupt=[first, first + 1, first + 3])
    interruptions = 0
    while interruptions < 10:
        try:
            search(launcher, config, SPACE, tmp_path)
            break
        except Interrupted:
            interruptions += 1
    assert interruptions > 0
    pd.testing.assert_frame_equal(table(tmp_path), trials)
    assert len(launcher.trained) == len(set(launcher.trained)) == 15
    assert launcher.begun == 15 + interruptions  # a run that was interrupted goes on in its directory


@pytest.mark.parametrize("call", [2, 17, *(pytest.param(call, marks=pytest.mark.slow) for call in (1, 3))])
def test_a_trial_without_all_of_its_values_is_made_anew(tmp_path, unbroken, monkeypatch, call):
    """Of two keys of three, or none; the process was killed while Optuna chose them."""
    config, trials = unbroken
    suggest, calls = optuna.trial.Trial._suggest, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise Interrupted
        return suggest(self, *arguments)

    monkeypatch.setattr(optuna.trial.Trial, "_suggest", interrupted)
    launcher = Launcher(tmp_path)
    with pytest.raises(Interrupted):
        search(launcher, config, SPACE, tmp_path)
    search(launcher, config, SPACE, tmp_path)
    pd.testing.assert_frame_equal(table(tmp_path).drop(columns="trial"), trials.drop(columns="trial"))
    assert len(launcher.trained) == 15


def test_a_finished_search_does_nothing_until_its_number_of_trials_grows(tmp_path, capsys):
    launcher = Launcher(tmp_path)
    search(launcher, settings(n_trials=3), SPACE, tmp_path)
    search(launcher, settings(n_trials=3), SPACE, tmp_path)
    assert len(launcher.trained) == 3 and "search: 3 of 3 trials done" in capsys.readouterr().out
    search(launcher, settings(n_trials=5, n_jobs=2), SPACE, tmp_path)
    assert len(launcher.trained) == len(table(tmp_path)) == 5


def test_a_low_score_can_be_good(tmp_path, capsys):
    config = settings(direction="minimize", sampler="random")
    search(Launcher(tmp_path), config, SPACE, tmp_path)
    worst = table(tmp_path, config)["score"].min()
    assert f"score {worst:.2f}\nto run it again with another seed: python -m a3crepro env=a " in capsys.readouterr().out


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_a_run_that_fails_is_a_failed_trial(tmp_path, capsys, n_jobs):
    failures = {2: UserError("algo: does not fit"), 5: ZeroDivisionError("by 0"), 6: RunError("no memory")}
    search(Launcher(tmp_path, failures=failures), settings(n_jobs=n_jobs), SPACE, tmp_path)
    out, err = capsys.readouterr()
    trials = table(tmp_path)
    assert len(trials) == 15 and trials["score"].isna().tolist() == [place in failures for place in range(1, 16)]
    lines = [line for line in out.splitlines() if "failed: " in line]
    assert [line.partition("failed: ")[2].partition(" (in ")[0] for line in lines] == [
        "algo: does not fit", "ZeroDivisionError('by 0')", "no memory"
    ]  # fmt: skip
    assert "ZeroDivisionError" in err and "15 trials done, 3 failed" in out.splitlines()[-3]
    again = Launcher(tmp_path)
    search(again, settings(n_jobs=n_jobs), SPACE, tmp_path)
    assert not again.launched


def test_a_process_that_dies_takes_its_trial_with_it(tmp_path, capsys):
    """Joblib gives up on all jobs, and does not say whose process it was."""

    class Fragile(Launcher):
        def run(self, overrides):
            if len(self.trained) == 2 and not hasattr(self, "fatal"):
                self.fatal = overrides
            if overrides == getattr(self, "fatal", None):
                raise RuntimeError("A worker process was killed")
            return super().run(overrides)

    launcher = Fragile(tmp_path)
    search(launcher, settings(n_jobs=4), SPACE, tmp_path)
    trials = table(tmp_path)
    assert len(trials) == 15 and trials["score"].isna().sum() == 1 and len(launcher.trained) == 14
    assert launcher.launched[:5] == [4, 1, 1, 1, 1] and "failed: RuntimeError" in capsys.readouterr().out


def test_a_search_all_of_whose_trials_fail_says_so(tmp_path):
    failures = dict.fromkeys(range(1, 4), UserError("no"))
    with pytest.raises(RunError, match="all trials of the search failed"):
        search(Launcher(tmp_path, failures=failures), settings(n_trials=3), SPACE, tmp_path)


@pytest.mark.parametrize("error", [DirectoryInUse("in use"), OSError(28, "No space left")], ids=["use", "disk"])
def test_what_is_no_fault_of_a_trial_ends_the_search_and_costs_none(tmp_path, error):
    """E.g. a worker of the search that was killed saves its run for some seconds."""
    with pytest.raises(type(error)):
        search(Launcher(tmp_path, failures={2: error}), settings(n_jobs=3), SPACE, tmp_path)
    search(Launcher(tmp_path), settings(n_jobs=3), SPACE, tmp_path)
    assert table(tmp_path)["score"].notna().sum() == 15


def test_equal_trials_at_a_time_share_a_run(tmp_path):
    space = search_space(["env=a", "x=choice(0,1)", "y=choice(p)", "z=choice(4)"])
    launcher = Launcher(tmp_path)
    search(launcher, settings(n_jobs=5), space, tmp_path)
    assert len(launcher.trained) == 2 and max(launcher.launched) == 2
    trials = pd.read_csv(next((tmp_path / "searches").glob("*.csv")))
    assert len(trials) == 15 and trials.groupby("x")["score"].nunique().tolist() == [1, 1]


def test_the_score_is_the_mean_of_the_last_three_evaluations(tmp_path):
    class Evaluated(Launcher):
        def run(self, overrides):
            job = super().run(overrides)
            write_evaluations(Path(job.hydra_cfg.hydra.runtime.output_dir), [100, 1, 2, 6])
            return job

    assert LAST == 3
    search(Evaluated(tmp_path), settings(n_trials=1), SPACE, tmp_path)
    assert table(tmp_path)["score"].tolist() == [3.0]


def test_a_score_that_is_no_number_is_a_failure(tmp_path, capsys):
    class Odd(Launcher):
        def run(self, overrides):
            job = super().run(overrides)
            if len(self.trained) == 1:
                write_evaluations(Path(job.hydra_cfg.hydra.runtime.output_dir), [math.inf])
            return job

    search(Odd(tmp_path), settings(n_trials=2), SPACE, tmp_path)
    assert "failed: it has no score" in capsys.readouterr().out


def test_another_search_has_another_record(tmp_path):
    names = {name_of(settings(), SPACE), name_of(settings(seed=1), SPACE), name_of(settings(sampler="random"), SPACE),
             name_of(settings(), search_space(["env=b", *SPACE.swept.values()]))}  # fmt: skip
    assert len(names) == 4
    assert name_of(settings(n_trials=99, n_jobs=2), search_space([*SPACE.swept.values(), "env=a"])) in names
    launcher = Launcher(tmp_path)
    search(launcher, settings(study_name="mine", n_trials=2), SPACE, tmp_path)
    with pytest.raises(UserError, match=r"mine is another search: hydra.sweeper.seed \('0' there, '1' here\)"):
        search(launcher, settings(study_name="mine", seed=1), SPACE, tmp_path)
    with pytest.raises(UserError, match=r"env \('env=a' there, 'env=b' here\); choose another name"):
        search(launcher, settings(study_name="mine"), search_space(["env=b", *SPACE.swept.values()]), tmp_path)


def test_a_search_in_progress_is_refused_to_others(tmp_path):
    class Nested(Launcher):
        def run(self, overrides):
            with pytest.raises(RunError, match="is in progress in another process"):
                search(Launcher(tmp_path), settings(), SPACE, tmp_path)
            return super().run(overrides)

    search(Nested(tmp_path), settings(n_trials=1), SPACE, tmp_path)


def test_a_record_can_be_elsewhere(tmp_path):
    config = settings(storage=f"sqlite:///{tmp_path}/mine.db", study_name="one", n_trials=2)
    search(Launcher(tmp_path), config, SPACE, tmp_path)
    study = optuna.load_study(study_name="one", storage=config.storage)
    assert [trial.value for trial in study.trials] == table(tmp_path, config)["score"].tolist()


@pytest.mark.parametrize("storage", [None, "sqlite:////no/such/directory/x.db", "nonsense"])
def test_a_record_that_cannot_be_used_is_told_in_a_line(tmp_path, storage):
    config = settings(storage=storage)
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / f"{name_of(config, SPACE)}.db").write_bytes(b"no database" * 100)
    with pytest.raises(RunError, match=r"^cannot use the search's record [^\n]*$"):
        SearchRecord(config, SPACE, tmp_path / "searches")


# ---- With training ---------------------------------------------------------------------------------------------------


def records(root):
    (found,) = (root / "runs" / "searches").glob("*.csv")
    return pd.read_csv(found)


def test_the_command_searches_and_goes_on(command, tmp_path):
    words = (*SEARCH, RATES, "algo=choice(a3c,n_step_q)", "algo.t_max=range(2,6)")
    status, said, line = command(*words, "hydra.sweeper.n_trials=2")
    assert status == 0, line
    first, made = records(tmp_path), directories(tmp_path)
    assert len(first) == len(made) == 2 and "best: " in said
    assert sorted(first["score"]) == sorted(final_scores(tmp_path))
    status, said, line = command(*words, "hydra.sweeper.n_trials=3")
    assert status == 0, line
    assert len(records(tmp_path)) == len(directories(tmp_path)) == 3 and directories(tmp_path) > made
    pd.testing.assert_frame_equal(records(tmp_path)[:2], first)


def final_scores(root):
    tables = (pd.read_csv(path)["score_mean"] for path in root.rglob("evaluations.csv"))
    return [scores[-3:].mean() for scores in tables if len(scores) >= 3]


def test_a_run_of_the_command_that_fails_is_a_failed_trial(command, tmp_path):
    directory = tmp_path / "runs/toy/catch/a3c"
    words = (*SEARCH, "seed=choice(0,1)", "hydra.sweeper.n_trials=6")
    assert command(*words, "hydra.sweeper.n_trials=1")[0] == 0
    (done,) = (tmp_path / name for name in directories(tmp_path))
    other = done.parent / ("seed=0" if done.name == "seed=1" else "seed=1")
    assert directory in done.parents
    other.mkdir()
    (other / "config.yaml").write_text("algo: [")
    status, said, _ = command(*words)
    assert status == 0
    failed = [line for line in said.splitlines() if "failed: " in line]
    assert failed and all("config.yaml is damaged" in line for line in failed)
    trials = records(tmp_path)
    assert len(trials) == 6 and (trials["score"].isna() == (f"seed={1}" == other.name) * (trials["seed"] == 1) +
                                 (other.name == "seed=0") * (trials["seed"] == 0)).all()  # fmt: skip


LONGER = ("--multirun", "hydra/sweeper=optuna", *QUICK, "frames=10_000", "evaluation.every=5_000",
          "checkpoint.every_seconds=0.2", RATES, "hydra.sweeper.n_trials=4")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "local"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_a_search_that_is_stopped_loses_and_doubles_nothing(tmp_path, launcher, how):
    words = (*LONGER, f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] if launcher == "local" else []))
    run = finished(tmp_path / "whole", *words)
    assert run.wait() == 0, run.stderr
    broken = tmp_path / "broken"
    for count in (1, 2):
        began = time.time()

        def checkpoints(began: float = began) -> list[Path]:
            return [path for path in broken.rglob("checkpoint.npz") if path.stat().st_mtime > began]

        with running(broken, *words) as run:
            run.wait_until(lambda count=count: len(checkpoints()) >= count, f"{count} runs of this attempt")
            begun = run.processes()
            run.send(how, group=how == signal.SIGKILL)
            assert run.wait() == {signal.SIGINT: 130, signal.SIGKILL: -9}[how]
            assert gone_within(begun, 30)  # launchers' processes save
    run = finished(broken, *words)
    assert run.wait() == 0, run.stderr
    pd.testing.assert_frame_equal(records(broken), records(tmp_path / "whole"))
    assert directories(broken) == directories(tmp_path / "whole") and len(directories(broken)) == 4
    starts = [len(json.loads(path.read_text())["starts"]) for path in broken.rglob("manifest.json")]
    assert sum(starts) > 4
