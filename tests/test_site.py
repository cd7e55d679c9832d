"""The source of the documentation site: links, claims, agents; `test_site_in_browser.py` reads what is built of it."""

import csv
import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from a3crepro.common.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from builder import claims, gallery, interactive, reference, staging, tables  # noqa: E402
from builder.places import Links, drawing, place_of  # noqa: E402

# ---- Links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("README.md", "getting_started.md"),
        ("docs/speed.md", "speed.md"),
        ("docs/methods/a3c.md", "methods/a3c.md"),
        ("figures/speedup.png", "figures/speedup.svg"),
        ("figures/worlds.png", "figures/worlds.png"),
        ("figures/speedup.md", "figures/speedup.md"),
        ("figures/claims.md", "claims.md"),
        ("results/throughput", "results/throughput.md"),
        ("results/throughput/threads.png", "results/throughput/threads.png"),
        ("a3crepro/algorithms/a3c.py", "_code/a3crepro/algorithms/a3c.py"),
    ],
)
def test_each_file_has_a_place(file: str, place: str) -> None:
    assert str(place_of(PurePosixPath(file))) == place


def test_links_of_a_file_become_those_of_its_page() -> None:
    text = (
        "[a](../README.md#install-and-test) [b](executions.md#exact-resume) [c](https://x.org/a.md)\n"
        "`[d](../README.md)` [e](../results/throughput)\n\n```bash\n[f](../README.md)\n```\n"
    )
    assert Links(PurePosixPath("docs/speed.md")).page_text(text) == (
        "[a](getting_started.md#install-and-test) [b](executions.md#exact-resume) [c](https://x.org/a.md)\n"
        "`[d](getting_started.md)` [e](results/throughput.md)\n\n```bash\n[f](../README.md)\n```\n"
    )
    assert Links(PurePosixPath("docs/methods/a3c.md")).page_text("[a](../speed.md)") == "[a](../speed.md)"
    assert Links(PurePosixPath("README.md")).page_text("[a](docs/speed.md)") == "[a](speed.md)"


def test_a_picture_is_a_link_to_itself_and_keeps_its_alternative_text() -> None:
    shown = Links(PurePosixPath("docs/methods/a3c.md")).page_text("![Scores < 3](../../figures/speedup.png)")
    assert '<a class="figure" href="../figures/speedup.svg">' in shown and 'alt="Scores &lt; 3"' in shown


def test_a_drawing_stands_in_the_page_and_takes_its_colour() -> None:
    shown = drawing(ROOT / "docs" / "images" / "virtual_clock.svg", "a clock")
    assert shown.startswith('<svg role="img" aria-label="a clock" ') and "<style>" not in shown
    assert "currentColor" in shown and "\n\n" not in shown


@pytest.mark.parametrize("target", ["nowhere.md", "../../etc"])
def test_a_link_that_leads_nowhere_is_named(target: str) -> None:
    with pytest.raises(UserError, match=rf"docs/speed\.md: the link to {re.escape(target)} leads nowhere"):
        Links(PurePosixPath("docs/speed.md")).page_text(f"[a]({target})")


def test_what_only_readers_of_the_repository_need_is_left_out() -> None:
    text = "a\n\n<!-- repository -->\nb\n<!-- /repository -->\n\nc\n"
    assert Links(PurePosixPath("docs/speed.md")).page_text(text) == "a\n\nc\n"


def test_an_unknown_insertion_is_named_with_what_is_allowed() -> None:
    with pytest.raises(UserError, match="site: figures -->: allowed: claims, counts"):
        staging.inserted("<!-- site: figures -->")


def test_every_page_is_in_a_table_of_contents() -> None:
    contents = staging.contents()
    for page in (ROOT / "docs").glob("*.*"):
        if page.suffix in (".md", ".ipynb") and page.name not in ("README.md", "index.md"):
            name = place_of(PurePosixPath("docs", page.name)).stem
            assert len(re.findall(rf"^{name}$", contents, re.M)) == 1, page.name
    assert staging.page_of(PurePosixPath("README.md")).startswith("# Getting started\n")


def test_no_page_has_the_place_of_one_that_sphinx_makes() -> None:
    assert not {str(place.with_suffix("")) for place, _ in staging.written_pages()} & {"search", "genindex", "modindex"}


# ---- Claims ----------------------------------------------------------------------------------------------------------


def test_every_claim_is_on_the_page_with_its_verdict_and_a_page_about_it() -> None:
    text = claims.page()
    for found in claims.decided():
        part = text.partition(f"({claims.anchor(found.claim)})=")[2].partition("\n## What")[0].partition(")=\n")[0]
        assert claims.badge(found.verdict.outcome) in part, found.claim.text
        assert claims.pages_of(found.claim, found.sweep), found.claim.text
        assert f"python sweeps/{found.sweep}.py" in part and (ROOT / "sweeps" / f"{found.sweep}.py").exists()
    assert text.count("\nDecided by\n") == len(claims.CLAIMS)


def test_verdicts_are_those_of_the_committed_table_and_earlier_runs_decide_nothing() -> None:
    committed = (ROOT / "figures" / "claims.md").read_text()
    counted = re.findall(r"^\| \[.*?\]\{\.verdict \.([\w-]+)\} \| (\d+) \|$", claims.counts(), re.M)
    assert len(counted) == 5
    for outcome, number in counted:
        assert f"\n| {outcome.replace('-', ' ')} | {number} | " in committed
    for found in claims.decided():
        text = claims.section(found)
        assert ("Earlier runs, which decide nothing\n: by the same rule, " in text) == (found.earlier is not None)


def test_costs_are_those_of_the_tables() -> None:
    checked = 0
    for found in claims.decided():
        file = ROOT / "results" / found.sweep / claims.best_scale(found.sweep) / "runs.csv"
        results = claims.tables(found.sweep)
        assert file.exists() == (results is not None)
        if results is None:
            assert claims.cost(None) == "not run yet"
            continue
        with open(file, newline="") as opened:
            rows = list(csv.DictReader(opened))
        hours = sum(float(row["core_seconds"]) for row in rows) / 3600
        if hours >= 1:
            assert claims.cost(results).startswith(f"{hours:,.1f} core-hours for {len(rows)} runs"), found.sweep
            checked += 1
    assert checked > 3


def test_text_of_rules_has_no_meaning_in_markdown() -> None:
    assert claims.escaped("Q*bert, a_b [1/2] <3 `a_b`") == r"Q\*bert, a\_b \[1/2\] \<3 `a_b`"


# ---- Tables, reference, agents ---------------------------------------------------------------------------------------


def test_all_tables_of_results_can_be_downloaded() -> None:
    copied = {str(place) for place, _ in tables.files_to_copy()}
    assert "results/paper/fig1_learning_speed.csv" in copied
    pages = dict(tables.result_pages())
    for file in (ROOT / "results").rglob("*.csv"):
        name = file.relative_to(ROOT / "results")
        assert file.relative_to(ROOT).as_posix() in copied
        assert f"({name.as_posix()})" in pages[PurePosixPath("results", f"{name.parts[0]}.md")]


def test_a_figure_s_page_shows_it_with_the_alternative_text_of_the_page_about_it() -> None:
    text = tables.figure_page(ROOT / "figures" / "optimizers.md")
    assert text.startswith("# Figure S5: optimizers: full table") and 'href="optimizers.svg"' in text
    assert 'alt="Final scores, sorted, by optimizer"' in text and "| --- |" in text


def test_the_reference_has_every_module() -> None:
    listed = {module for modules in reference.pages_by_layer().values() for module in modules}
    for file in (ROOT / "a3crepro").rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert name in {*listed, *reference.FOR_CHILDREN, "a3crepro", "a3crepro.__main__"}, name


def test_the_reference_needs_no_extra_but_docs() -> None:
    blocked = ["dm_control", "mujoco", "pygame", "joblib", "submitit", "wandb", "mlflow"]
    program = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'docs')!r})\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from builder.reference import pages_by_layer\n"
        "for name in sum(pages_by_layer().values(), []): importlib.import_module(name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


def test_the_extra_docs_has_what_the_reference_imports() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "a3crepro[search]" in extras["docs"]  # Optuna


def test_how_to_cite_names_the_paper_and_its_authors() -> None:
    text = reference.citation_page()
    assert "Mnih, Volodymyr and Badia, Adrià Puigdomènech" in text and "@inproceedings{mnih2016asynchronous," in text
    assert "pages = {1928--1937}" in text


def test_agents_are_small_and_complete() -> None:
    assert (
        gallery.agents() and sum(file.stat().st_size for file in (ROOT / "agents").rglob("*") if file.is_file()) < 40e6
    )
    for agent in gallery.agents():
        assert agent.video is not None and f"agents/{agent.name}/{agent.video.name}" in gallery.card_of(agent)
        assert sum(file.stat().st_size for file in agent.directory.iterdir()) < 5e6, agent.name
        assert gallery.poster(agent.video).startswith(b"\x89PNG")


def test_games_have_their_names_in_the_gallery() -> None:
    text = gallery.page()
    assert (
        "## A3C, Breakout\n" in text
        and r"## A3C, Q\*bert" in text
        and "atari/" not in re.sub(r"```.*?```", "", text, flags=re.S)
    )


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "README.md").write_text("nothing")
    with pytest.raises(UserError, match=r"one/README\.md is not an agent card: it has no facts"):
        gallery.agents(tmp_path)


# ---- Interactive figures ---------------------------------------------------------------------------------------------


def test_points_over_learning_rates_are_the_runs() -> None:
    panels = {panel["title"]: panel["series"] for panel in interactive.learning_rates()}
    with open(ROOT / "results" / "paper" / "fig2_s11_learning_rates.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["game"], row["method"]) == ("pong", "a3c")]
    (a3c,) = (series for series in panels["Pong, the paper"] if series["method"] == "A3C")
    assert len(a3c["x"]) == len(rows) == 50
    assert max(a3c["y"]) == pytest.approx(max(float(row["score"]) for row in rows), rel=1e-3)
    own = [series for title, found in panels.items() if "a3crepro" in title for series in found]
    shown = sum(len(series["x"]) for series in own)
    results = claims.tables("learning_rates")
    assert shown == (0 if results is None else len(results.runs))
    assert all(command.startswith("python -m a3crepro ") for series in own for command in series["command"])


def test_curves_are_means_of_the_runs() -> None:
    panels = {panel["title"]: panel["lines"] for panel in interactive.learning_curves()}
    (first, *_) = (line for line in panels["Pong"] if line["by"] == "a3crepro")
    with open(ROOT / "results" / "first_runs" / "laptop" / "scores.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["env"] == "pong" and row["score_type"] != "training"]
    assert np.allclose(first["y"], [float(row["score"]) for row in rows], rtol=1e-3)
    assert {line["threads"] for line in panels["Q*bert"] if line["by"] == "paper"} == {1, 2, 4, 8, 16}


def test_data_of_a_figure_cannot_end_its_script() -> None:
    for name in interactive.DATA:
        text = interactive.figure(name)
        (data,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.S)
        assert json.loads(data)["figure"] == name


# ---- The command ----------------------------------------------------------------------------------------------------


def test_a_directory_that_is_no_site_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = runpy.run_path(str(ROOT / "docs" / "build.py"))["main"]
    (tmp_path / "mine").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["build.py", f"out={tmp_path}"])
    with pytest.raises(UserError, match=r"out: should be a new directory or an earlier site, got '.*'"):
        main()
    monkeypatch.setattr(sys, "argv", ["build.py", "output=site"])
    with pytest.raises(UserError, match="output: unknown key; allowed: out"):
        main()
    assert (tmp_path / "mine").read_text() == "mine"


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads((ROOT / "docs" / "first_steps.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)
