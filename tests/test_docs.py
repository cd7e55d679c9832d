"""The pages: links resolve, commands compose, numbers are those of `results/` and `figures/`, examples train."""

import functools
import importlib
import importlib.util
import math
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from a3crepro import compose, train
from a3crepro.agents import read_card
from a3crepro.config import dotted_items, jobs
from a3crepro.evaluate import KEYS
from a3crepro.experiments.figures import TITLES
from a3crepro.runs.policies import POLICY_KEYS
from analysis._atari import at_paper_rates, beside_paper, curves

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def page(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_readme_is_short() -> None:
    assert len(page("README.md").splitlines()) <= 250


# ---- Links -----------------------------------------------------------------------------------------------------------


def links(path: Path) -> list[str]:
    """Targets of links and images, but for those of other sites."""
    text = FENCE.sub("", path.read_text())
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@functools.cache
def anchors(path: Path) -> set[str]:
    """The anchors that a code host gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_and_images_resolve(path: Path) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        assert aim.exists(), f"{path.name}: {target}"
        assert aim.is_relative_to(ROOT), f"{path.name}: {target} leaves the repository"
        assert not anchor or anchor in anchors(aim), f"{path.name}: {target}"


def test_every_page_is_found_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert {path for path in PAGES if path.parent == index.parent} - linked == {index}


# ---- Commands --------------------------------------------------------------------------------------------------------

OWN_WORDS = {  # of commands that take overrides, too
    "a3crepro": (),
    "a3crepro.benchmark": ("seconds",),
    "a3crepro.evaluate": tuple(KEYS),
    "a3crepro.play": tuple(POLICY_KEYS),
    "sweeps": ("scale", "part", "case", "pfrl", "before", "seconds", "minutes", "table"),
}
FLAGS = {
    "--dry-run",
    "--status",
    "--collected",
    "--unfinished",
    "--collect",
    "--multirun",
    "--cfg",
    "--resolve",
    "--version",
    "job",
}


def commands() -> Iterator[tuple[Path, str]]:
    """Each command of `python` or `pip install` that a page shows, in a block or within a line."""
    for path in PAGES:
        text = path.read_text()
        lines = [
            part.strip()
            for language, block in FENCE.findall(text)
            if language == "bash"
            for line in block.replace("\\\n", " ").splitlines()
            for part in line.split(" && ")
        ]
        inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
        for command in dict.fromkeys([*lines, *inline]):
            if command.startswith(("python ", "pip install ")):
                yield path, command


COMMANDS = list(commands())


@functools.cache
def examples() -> dict[Path, str]:
    """Files that pages show in full: the first line of a block is a comment with the path."""
    blocks = [block for path in PAGES for _, block in FENCE.findall(path.read_text())]
    named = [(re.match(r"# (\S+\.(?:py|yaml))\n", block), block) for block in blocks]
    return {Path(name[1]): block for name, block in named if name}


def overrides_of(words: list[str], own: tuple[str, ...]) -> list[str]:
    """What is left for the configuration; Hydra's own words and choices of examples are looked at elsewhere."""
    made_up = {path.stem for path in examples()} | {"my_method"}
    overrides = []
    for word in words:
        key, sign, value = word.partition("=")
        if key == "hydra/launcher":
            assert (ROOT / "conf" / "hydra" / "launcher" / f"{value}.yaml").is_file(), word
        elif sign and key not in own and not key.startswith("hydra") and value not in made_up and "…" not in value:
            overrides.append(word)
    return overrides


def check_script(words: list[str]) -> None:
    """A script of `sweeps/` or `analysis/`."""
    file, *rest = words
    assert (ROOT / file).is_file(), f"no {file}"
    name, scale = Path(file).stem, next((word[6:] for word in rest if word.startswith("scale=")), "laptop")
    if name == "collect":
        name = rest[0]
        assert (ROOT / "sweeps" / f"{name}.py").is_file(), f"no sweep {name}"
    if (ROOT / "sweeps" / f"{name}.py").is_file() and "EXPERIMENT =" in page(f"sweeps/{name}.py"):
        assert scale in (*experiment(name).scales, *(["earlier"] if file.startswith("analysis/") else []))
    if file.startswith("sweeps/"):
        compose(*overrides_of(rest, OWN_WORDS["sweeps"]))


def experiment(name: str):
    return importlib.import_module(f"sweeps.{name}").EXPERIMENT


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=[f"{path.stem}-{number}" for number, (path, _) in enumerate(COMMANDS)]
)
def test_a_command_names_what_exists_and_composes(path: Path, command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    if program == "pip":
        extras = tomllib.loads(page("pyproject.toml"))["project"]["optional-dependencies"]
        wanted = [extra for word in words for extra in re.findall(r"^\.\[(\w+)\]$", word)]
        assert all(extra in extras for extra in wanted), command
        return
    assert all(word in FLAGS for word in words if word.startswith("--") and word != "--config-dir"), command
    if words[0] != "-m":
        check_script(words)
        return
    module, rest = words[1], words[2:]
    assert importlib.util.find_spec(module) is not None, f"no module {module}"
    if module == "pytest":
        files = [Path(word) for word in rest if word.endswith(".py")]
        assert all((ROOT / file).is_file() or file in examples() for file in files), command
    elif module in OWN_WORDS:
        overrides = overrides_of(rest, OWN_WORDS[module])
        sweeper = [word for word in rest if word.startswith("hydra/sweeper=")]
        for job in jobs([*overrides, *sweeper], multirun="--multirun" in rest):
            compose(*job)


def test_there_are_commands_of_every_kind() -> None:
    found = " ".join(command for _, command in COMMANDS)
    assert len(COMMANDS) > 60
    for part in ("-m a3crepro ", "-m a3crepro.evaluate", "-m a3crepro.agents", "sweeps/", "analysis/", "-m pytest"):
        assert part in found


# ---- Numbers ---------------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
SOURCES = {  # page: what holds the numbers of its tables
    "docs/atari_games.md": ["figures/atari_games.md", "figures/stale_gradients.md"],
    "docs/executions.md": ["figures/executions.md", "results/throughput/executions.csv"],
    "docs/figure_1_learning_speed.md": ["figures/learning_speed.md"],
    "docs/figure_2_learning_rates.md": ["figures/learning_rates.md"],
    "docs/figure_3_data_efficiency.md": ["figures/data_efficiency-earlier.md", "figures/speedup-earlier.md"],
    "docs/figure_4_training_speed.md": ["figures/training_speed-earlier.md"],
    "docs/figure_s5_optimizers.md": ["figures/optimizers.md", "figures/claims.md"],
    "docs/figure_s6_racing.md": ["figures/racing.md"],
    "docs/figure_s7_physical_tasks.md": [
        "figures/physical_tasks.md",
        "figures/physical_tasks_search.md",
        "figures/claims.md",
    ],
    "docs/first_results.md": ["figures/first_runs.md"],
    "docs/labyrinth.md": ["figures/labyrinth.md"],
    "docs/table_1_atari.md": ["figures/atari_table.md"],
    "docs/table_2_speedup.md": ["figures/speedup-earlier.md"],
}
COLUMNS = {"executions.csv": None, "runs.csv": ["score"]}


def test_examples_have_the_scores_of_their_runs():
    table = pd.read_csv(ROOT / "results" / "examples" / "laptop" / "runs.csv").sort_values("seed")
    virtual = table[table["execution"] == "virtual_time"].groupby("env.id")["score"]
    rows = re.findall(r"^\| (\S+-v\d) \| ([-\d,. ]+?)(?: \(.*\))? \|", page("docs/environments.md"), re.M)
    shown = {name: [value_of(number) for number in scores.split(", ")] for name, scores in rows}
    assert shown == {str(name): [float(round(score)) for score in scores] for name, scores in virtual}
    text = page("README.md")
    for method, words in (("n_step_q", "this run scored {} to {}."), ("a3c", "reaches {} to {}.")):
        scores = table[(table["env"] == "minatar/breakout") & (table["method"] == method)]["score"]
        assert words.format(f"{scores.min():.1f}", f"{scores.max():.1f}") in " ".join(text.split()), method
    cartpole = table[(table["env"] == "gym") & (table["execution"] == "hogwild")]["score"]
    assert f"(five seeds: {cartpole.min():.0f} to {cartpole.max():.0f} of 500," in text and len(cartpole) == 5


def numbers(text: str) -> list[str]:
    return [found.rstrip(",") for found in NUMBER.findall(text)]


def value_of(number: str) -> float:
    return float(number.replace(",", ""))


def known(source: str) -> list[float]:
    """All numbers of a file of `figures/`, or of some columns of a table of `results/`."""
    if source.endswith(".md"):
        return [value_of(number) for number in numbers(page(source))]
    table = pd.read_csv(ROOT / source)
    columns = COLUMNS[Path(source).name]
    chosen = table.select_dtypes("number") if columns is None else table[columns]
    found: list[float] = chosen.to_numpy().ravel().tolist()
    return found + [value / 2**20 for value in found]  # bytes are shown in MiB


def is_rounded(shown: str, values: list[float]) -> bool:
    """Whether one of the values is shown so, to as many digits as are shown."""
    digits = 0 if "e" in shown else len(shown.partition(".")[2])
    half = 1e-9 if "e" in shown else 0.5 * 10**-digits * 1.0001
    return any(abs(value - value_of(shown)) <= half for value in values)


def tables(text: str) -> list[list[list[str]]]:
    """Rows of cells of each table, without its header."""
    blocks = re.findall(r"(?:^\|.*\n)+", FENCE.sub("", text), re.M)
    rows = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()] for block in blocks]
    return [table[2:] for table in rows if table[0][0] != "scale"]  # but for that of costs


@pytest.mark.parametrize("name", SOURCES)
def test_numbers_in_tables_are_those_of_the_results(name: str) -> None:
    values = [value for source in SOURCES[name] for value in known(source)]
    checked = 0
    for row in (row for table in tables(page(name)) for row in table):
        for shown in (number for cell in row[1:] for number in numbers(cell)):
            assert is_rounded(shown, values), f"{shown} in {row}"
            checked += 1
    assert checked >= 7, name


def test_hyperparameters_are_those_of_the_configuration() -> None:
    methods = [compose(f"algo={algo}", "env=breakout") for algo in ("a3c", "one_step_q", "n_step_q")]
    known = {key: value for config in reversed(methods) for key, value in dotted_items(config.model_dump())}
    (rows,) = tables(page("docs/hyperparameters.md"))
    for _, key, value, _ in rows:
        found = known[key.strip("`")] if "." in key or key in ("`threads`", "`frames`") else None
        if found is None:  # a choice
            chosen = methods[0].composition.choices[key.strip("`")]
            assert chosen in value.lower().replace(" ", "_"), key
        elif isinstance(found, bool):
            assert value == str(found).lower(), key
        else:
            shown = [float(part.replace(",", "")) for part in re.split(r", |; ", value)[: len(np.atleast_1d(found))]]
            assert shown == list(np.atleast_1d(found)), key
    assert len(rows) > 25


def test_agents_in_the_gallery_are_those_with_a_card() -> None:
    (rows,) = tables(page("docs/gallery.md"))
    cards = {file.parent.name: read_card(file.parent) for file in sorted((ROOT / "agents").glob("*/README.md"))}
    assert {row[0].split("`")[1] for row in rows} == set(cards)
    for row in rows:
        card = cards[row[0].split("`")[1]]
        assert row[4] == f"{card['score_mean']:,.1f} ± {card['score_std']:,.1f}" and card["episodes"] == 100
        assert row[3] == f"{card['frames'] / 1e6:.1f}M".replace(".0M", "M")


def test_a_number_that_was_made_up_is_found() -> None:
    assert is_rounded("1,518", [1517.57]) and not is_rounded("1,519", [1517.57])
    assert is_rounded("0.4", [0.39]) and not is_rounded("0.3", [0.39])
    assert numbers("22.7 (-6 to 1,031), 1e-05 [6/6]") == ["22.7", "-6", "1,031", "1e-05", "6", "6"]


def test_the_speed_tables_are_printed_by_their_script(capsys: pytest.CaptureFixture[str]) -> None:
    module = runpy.run_path(str(ROOT / "analysis" / "throughput.py"))
    directory = ROOT / "results" / "throughput"
    module["print_table"](pd.read_csv(directory / "table.csv"))
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 10 and all(row in page("docs/speed.md").splitlines() for row in rows)
    for name in ("versions", "versions_2", "versions_3"):
        module["print_versions"](pd.read_csv(directory / f"{name}.csv"))
    _, _, *rows = capsys.readouterr().out.splitlines()
    shown = [row for row in rows if row in page("results/throughput/README.md").splitlines() and "ratio" not in row]
    # those that were repeated, by the last calls; the five of `hogwild` on two machines
    assert len([row for row in shown if "---" not in row]) == 14 + 5
    for part, name in (("executions", "docs/executions.md"), ("control", "docs/environments.md")):
        shown = [row[1:] for table in tables(page(name)) for row in table]
        for row in pd.read_csv(directory / f"{part}.csv").itertuples():
            spread = module["spread"](pd.Series(row._asdict()))
            assert [spread, f"{row.fraction_of_emulator:.2f}", f"{row.peak_pss_bytes / 2**20:,.0f}"] in shown
    threads = pd.read_csv(directory / "threads.csv")
    rows = [
        row for table in tables(page("docs/speed.md")) for row in table if row[0] in ("Breakout", "MinAtar Breakout")
    ]
    assert [number for row in rows for number in row[1:]] == [f"{steps:,.0f}" for steps in threads["steps_per_second"]]


def test_the_reference_policies_are_those_that_were_measured() -> None:
    table = pd.read_csv(ROOT / "results" / "references" / "references.csv")
    scores = table.drop_duplicates(["env", "policy"], keep="last").set_index(["env", "policy"])["score_mean"]
    rows = [row for found in tables(page("docs/environments.md")) for row in found if len(row) == 4]
    rows = [row for row in rows if re.fullmatch(r"`(labyrinth|racing/)\w*`", row[0])]
    assert len(rows) == 8
    for env, *cells in rows:
        for policy, cell in zip(("random", "blind", "expert"), cells, strict=True):
            assert cell == "" or cell == f"{scores[env.strip('`'), policy]:.1f}", (env, policy)


def test_core_hours_and_runs_are_those_of_the_figures() -> None:
    claims = page("figures/claims.md")
    (total,) = re.findall(r"together: ([^;]*);", claims)
    assert f"The runs that decide claims today: {total} (" in page("docs/experiments.md")
    used = dict(re.findall(r"^(\w+): a3crepro: .*, ([\d.]+) core-hours$", claims, re.M))
    assert len(used) >= 4
    for row in tables(page("docs/experiments.md"))[0]:
        sweep = row[1].strip("`")
        assert row[4] == used.get(sweep, "–")
    for path in PAGES:
        for hours in re.findall(r"\(used: ([\d.]+)\)", path.read_text()):
            names = re.findall(r"python sweeps/(\w+)\.py", path.read_text())
            assert hours in {used.get(name) for name in names}, path


# ---- Examples --------------------------------------------------------------------------------------------------------


def test_the_examples_train_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As components of another package, which is all that differs from files of this one."""
    package, metadata = tmp_path / "site" / "shown", tmp_path / "site" / "shown-1.0.dist-info"
    files = {package / "__init__.py": "", metadata / "METADATA": "Metadata-Version: 2.1\nName: shown\nVersion: 1.0\n"}
    entry_points, words = "", []
    for path, text in examples().items():
        folder, group = path.parts[0], path.parts[1]
        if folder == "conf":
            files[tmp_path / path] = text
            words.append(f"{group}={path.stem}")
        elif folder == "a3crepro":
            files[package / path.name] = text
            entry_points += f"[a3crepro.{group}]\n{path.stem} = shown.{path.stem}\n"
    files[metadata / "entry_points.txt"] = entry_points
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(package.parent)
    assert sorted(word.partition("=")[0] for word in words) == ["algo", "env", "network", "optimizer"]
    more = (
        "execution=virtual_time",
        "threads=2",
        "frames=6_000",
        "optimizer.lr=0.1",
        "evaluation.episodes=50",
        "logging.tensorboard=false",
    )
    config = compose(*words, *more, "evaluation.every=0", config_dir=str(tmp_path / "conf"))
    assert train(config, tmp_path / "run")["score_mean"] > 0.8  # chance: 0.5


def test_the_example_s_own_test_passes() -> None:
    shown = examples()[Path("tests/test_n_step_expected_sarsa.py")]
    method = examples()[Path("a3crepro/algorithms/n_step_expected_sarsa.py")]
    spaces: dict[str, object] = {}
    exec(compile(method, "n_step_expected_sarsa.py", "exec"), spaces)
    shown = re.sub(r"^from a3crepro\.algorithms\..*\n", "", shown, flags=re.M)
    exec(compile(shown, "test_n_step_expected_sarsa.py", "exec"), spaces)
    by_hand = spaces["test_the_mean_over_epsilon_greedy_actions"]
    for epsilon, expected in by_hand.pytestmark[0].args[1]:  # type: ignore[attr-defined]
        by_hand(epsilon, expected)  # type: ignore[operator]


# ---- Files beside the pages ------------------------------------------------------------------------------------------


def test_the_files_of_a_project_agree_with_it() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    citation = yaml.safe_load(page("CITATION.cff"))
    (released, *_) = re.findall(r"^## \[(\d[^\]]*)\]", page("CHANGELOG.md"), re.M)
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", released)
    assert citation["license"] == project["license"] and citation["references"][0]["type"] == "conference-paper"
    assert project["dynamic"] == ["version"]  # of git's tags
    (command,) = re.findall(r"^pip install .*\[dev\].*pytest.*$", page("README.md"), re.M)
    if (ROOT / ".pre-commit-config.yaml").exists():  # not in an sdist
        (repository,) = yaml.safe_load(page(".pre-commit-config.yaml"))["repos"]
        assert all(hook["entry"] in command for hook in repository["hooks"])
        job = yaml.safe_load(page(".github/workflows/ci.yml"))["jobs"]["test"]
        versions = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
        assert job["strategy"]["matrix"]["python"] == versions
        assert {"run": "bash .ci/run"} in job["steps"]


def test_every_extra_and_command_is_on_the_page_on_installing() -> None:
    text = page("docs/install.md")
    extras = tomllib.loads(page("pyproject.toml"))["project"]["optional-dependencies"]
    table = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    assert {extra for extra in extras if f"`{extra}`" not in table} == set()
    for command in ("evaluate", "report", "play", "agents", "benchmark"):
        assert f".{command}`" in text


def test_sentences_on_atari_say_what_its_runs_and_agents_scored() -> None:
    runs = [curve for curve in at_paper_rates(curves("laptop")) if curve.method == "a3c" and curve.seed == 0]
    found = {curve.env: curve for curve in runs if curve.finished}
    games = ("breakout", "pong", "qbert", "space_invaders")
    paper = {game: beside_paper(found[game]).paper for game in games}
    cards = {game: read_card(ROOT / "agents" / game) for game in games}

    def shown(game: str, score: float) -> str:
        return f"{score:,.{game == 'pong':d}f}"

    sentence = f"around {found['breakout'].table['epoch'].iloc[-2] * 4:.0f}M frames, "
    for game, text in zip(games, ("{} scores {} where the paper has {}", *["{} {} where it has {}"] * 3), strict=True):
        scores = (shown(game, score) for score in (found[game].final.value, paper[game]))
        sentence += {"breakout": "", "space_invaders": ", and "}.get(game, ", ")
        sentence += text.format(TITLES[game].replace("*", "\\*"), *scores)
    *most, last = (shown(game, cards[game]["score_mean"]) for game in games)
    sentence += (
        f"; over {cards['breakout']['episodes']} held-out episodes the final agents score {', '.join(most)} and {last}"
    )
    for name in ("README.md", "docs/index.md"):
        assert sentence in " ".join(page(name).split()), (name, sentence)

    text = " ".join(page("docs/atari_games.md").split())
    for game in games:
        half = 1.984 * cards[game]["score_std"] / math.sqrt(cards[game]["episodes"] - 1)
        low, high = (shown(game, cards[game]["score_mean"] + sign * half) for sign in (-1, 1))
        assert f"({low} to {high})" in text, (game, low, high)
    table = pd.read_csv(ROOT / "results" / "atari_games" / "laptop" / "diagnostics.csv").set_index("run")
    shares = [table.loc[[found[game].run], "share_above_epsilon"].max() for game in games]
    most = math.ceil(max(shares) * 1e5) / 1e3
    assert f"do more than {most:.3f} % of the entries of g, the moving average of squared gradients, exceed" in text
    entropies = table.loc[[found["pong"].run], "entropy"]
    assert f"mean entropy is {entropies.iloc[-1]:.2f} nats at the end" in text


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_pages_show_figures_and_do_not_link_to_them(path: Path) -> None:
    """The site embeds figures; it cannot resolve a link to one."""
    assert not re.search(r"(?<!!)\[[^\]]*\]\([^)]*\.(png|svg)\)", path.read_text())
