"""Reports: on finished, running, damaged and empty runs, one or several; with the numbers of the tables, and nothing
from elsewhere."""

import csv
import dataclasses
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from a3crepro import compose, train
from a3crepro.common.errors import UserError
from a3crepro.report import report_command
from a3crepro.reports import records as reading
from a3crepro.reports.charts import MAX_POINTS, Curve, line_chart, short
from a3crepro.reports.page import Scale, _training, page_of
from a3crepro.reports.records import labels_of, read_record

WORDS = ("env=toy/catch", "threads=2", "execution=virtual_time", "frames=2000", "logging.tensorboard=false",
         "logging.metrics_seconds=1", "evaluation.every=500", "evaluation.episodes=3")  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs."""
    root = tmp_path_factory.mktemp("runs")
    for algo in ("a3c", "n_step_q"):
        train(compose(*WORDS, f"algo={algo}"), root / algo / "seed=0")
    return [root / algo / "seed=0" for algo in ("a3c", "n_step_q")]


@pytest.fixture
def run(runs, tmp_path):
    """A copy of the first one, to be damaged."""
    return shutil.copytree(runs[0], tmp_path / "run")


class Page(HTMLParser):
    """What is in a page: references, figures with their texts, and tables."""

    def __init__(self, text):
        super().__init__()
        self.references, self.images, self.cells, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], "each element is closed"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.references += [
            (tag, name, value) for name, value in attributes if name in ("src", "href", "srcset", "data")
        ]
        if tag in ("svg", "video"):
            self.images.append(values)
        if tag == "td":
            self.cells.append("")
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag == "path"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def page_on(*directories, **options):
    found = [read_record(directory) for directory in directories]
    text = page_of(found, labels_of(found), **options)
    return text, Page(text)


def table(directory, name):
    with open(directory / f"{name}.csv") as file:
        return list(csv.reader(file))[1:]


def test_numbers_are_those_of_the_tables(runs):
    text, page = page_on(runs[0])
    for name in ("evaluations", "metrics"):
        rows = table(runs[0], name)
        assert len(rows) > 3
        for row in rows:
            assert any(page.cells[at : at + len(row)] == row for at in range(len(page.cells))), row
    best = max(table(runs[0], "evaluations"), key=lambda row: float(row[2]))
    assert f"{float(best[2]):.6g} at {int(best[0]):,} frames" in page.cells and "finished" in page.cells
    last = float(table(runs[0], "metrics")[-1][6])
    (chart,) = {
        image["aria-label"] for image in page.images if image.get("aria-label", "").startswith("Gradient norm over fr")
    }
    assert f"ends at {short(last)}" in chart
    assert f"<title>seed=0: {float(best[2]):.6g} at" in text


def test_a_page_needs_nothing_from_elsewhere_and_its_figures_have_texts(runs):
    text, page = page_on(*runs)
    assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text
    assert "<script" not in text and page.references == []
    for image in page.images:
        assert image.get("aria-label") or image.get("aria-hidden") == "true"
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_several_runs_side_by_side_with_the_keys_that_differ(runs):
    text, page = page_on(*runs)
    section = text[text.index("Keys that differ") : text.index("Other keys")]
    assert ">algo.name<" in section and ">a3c<" in section and ">n_step_q<" in section
    assert ">threads<" not in section and ">threads<" in text
    assert labels_of([read_record(run) for run in runs]) == ["a3c/seed=0", "n_step_q/seed=0"]
    for title in ("Entropy", "ε", "Policy loss", "Value loss", "Explained variance", "Staleness", "Learning rate"):
        shown = [image for image in page.images if image.get("aria-label", "").startswith(f"{title} over ")]
        assert len(shown) == 2, f"{title}: over frames and over time"
    assert "Frames per second by actor-learner" not in text


def test_training_scores_are_in_the_order_of_the_axis(run):
    header, *lines = (run / "episodes.csv").read_text().splitlines()
    (run / "episodes.csv").write_text("\n".join([header, *lines[::-1]]) + "\n")
    (curve,) = _training(read_record(run), "run", 0, Scale("frames", "frames", 1))
    assert (np.diff(curve.x) >= 0).all() and len(curve.x) > 2


def test_a_method_without_policy_has_no_empty_charts(runs):
    text, _ = page_on(runs[1])
    assert "<b>ε</b>" in text and "<b>Entropy</b>" not in text and "<b>Policy loss</b>" not in text
    text, _ = page_on(runs[0])
    assert "<b>ε</b>" not in text and "<b>Entropy</b>" in text
    assert all(f"actor-learner {thread} last" in text for thread in range(2))


def test_a_run_that_goes_on_is_read_without_a_row_that_is_being_written(run):
    (run / "summary.json").unlink()
    rows = table(run, "metrics")
    with open(run / "metrics.csv", "a") as file:
        file.write("123456,7.5,0.")
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    text, page = page_on(run)
    assert any(cell.startswith("not finished (100% of the frames), last written") for cell in page.cells)
    assert "123456" not in text and ",".join(rows[-1]) not in text and rows[-1][1] in page.cells
    assert 'class="note">run: metrics' not in text
    assert before == {path: path.read_bytes() for path in run.iterdir() if path.is_file()}


DAMAGES = {
    "no table": ("metrics.csv", None, "metrics.csv is missing"),
    "an empty table": ("evaluations.csv", b"", "evaluations.csv is damaged"),
    "no header": ("episodes.csv", b"\x00" * 500 + b"\n", "episodes.csv is damaged"),
    "no JSON": ("manifest.json", b"{", "manifest.json is damaged"),
    "another JSON": ("summary.json", b"[1]", "summary.json is damaged"),
    "no YAML": ("config.yaml", b"a: [\n", "config.yaml is damaged"),
    "another YAML": ("config.yaml", b"word", "config.yaml is damaged"),
}


@pytest.mark.parametrize(("name", "data", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_a_line_in_the_report(run, name, data, said):
    (run / name).unlink()
    if data is not None:
        (run / name).write_bytes(data)
    text, _ = page_on(run)
    assert f'<p class="note">run: {said}' in text


def test_damaged_rows_are_left_out_and_counted(run):
    header, *lines = (run / "metrics.csv").read_text().splitlines()
    lines[1], lines[2] = lines[1].replace(",", ";"), lines[2].replace(".", "x")
    (run / "metrics.csv").write_text("\n".join([header, *lines]) + "\n")
    text, page = page_on(run)
    assert f"metrics.csv is damaged: 2 of {len(lines)} rows are left out" in text
    assert lines[3].split(",")[1] in page.cells and lines[1].split(";")[1] not in page.cells


def test_a_finished_run_s_last_row_that_is_cut_off_is_damage(run):
    rows = len(table(run, "metrics"))
    (run / "metrics.csv").write_bytes((run / "metrics.csv").read_bytes()[:-10])
    text, _ = page_on(run)
    assert f"metrics.csv is damaged: 1 of {rows} rows are left out" in text


def test_a_run_that_has_written_nothing_but_its_configuration(run, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copyfile(run / "config.yaml", begun / "config.yaml")
    now = (begun / "config.yaml").stat().st_mtime
    os.utime(begun / "config.yaml", (now - 90, now - 90))
    _, page = page_on(begun)
    (said,) = (cell for cell in page.cells if cell.startswith("not finished (0% of the frames), last written "))
    assert said.endswith(("90 seconds ago", "1 minute ago", "2 minutes ago")), said


def test_an_atari_game_is_known_without_the_manifest():
    assert reading._env({"env.name": "atari", "env.game": "pong"}, {}) == "pong"
    assert reading._env({"env.name": "minatar", "env.game": "breakout"}, {}) == "minatar/breakout"


def test_an_empty_run_has_a_report(tmp_path):
    train(
        compose("env=toy/catch", "frames=0", "threads=2", "evaluation.episodes=0", "logging.tensorboard=false"),
        tmp_path,
    )
    (tmp_path / "summary.json").unlink()
    text, page = page_on(tmp_path)
    assert "no values" in text and "0:00:00" in page.cells


def test_the_paper_s_curve_is_shown_where_there_is_one(runs, monkeypatch, tmp_path):
    record = read_record(runs[0])
    text, _ = page_on(runs[0])
    assert "The paper has no curve of a3c in toy/catch." in text
    object.__setattr__(record, "env", "pong")
    text = page_of([record], ["run"])
    assert "the paper&#x27;s a3c" in text and "The paper has no" not in text
    notes = []
    curve = reading.paper_curve(record, "frames", notes)
    assert (curve["frames"].diff().dropna() == 4_000_000).all() and set(curve["threads"]) == {2} and notes == []
    other = dataclasses.replace(record, env="breakout")
    text = page_of([record, other], ["run", "other"])
    assert all(f"the paper&#x27;s a3c in {game}, 2 threads" in text for game in ("pong", "breakout"))
    monkeypatch.setattr(reading, "RESULTS", tmp_path)
    text = page_of([record], ["run"])
    assert text.count("The paper&#x27;s curves are not shown") == 1


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_report_of_a_run_is_in_its_directory_and_that_of_several_is_here(runs, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report_command([str(run)])
    report_command([*map(str, runs)])
    report_command([str(run), "output=mine.html"])
    assert capsys.readouterr().out.split() == [str(run / "report.html"), "report.html", "mine.html"]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "report.html", "mine.html"}
    assert not any((other / "report.html").exists() for other in runs)
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    train(compose(*WORDS, "algo=a3c"), run)  # the report is no obstacle


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "RUN_DIR: missing"),
        (["nowhere"], "nowhere is not a run directory: it has no config.yaml"),
        (["opne=true"], "opne: unknown key; allowed: output, open, video"),
        (["run", "open=yes"], "open: allowed: true, false; got 'yes'"),
        (["run", "output=page.txt"], "output: should end in .html"),
        (["run", "output=nowhere/page.html"], "output: there is no directory nowhere"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        report_command(words)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_it_opens_in_a_browser(run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report_command([str(run), "open=true"])
    assert opened == [(run / "report.html").as_uri()]


def videos(directory):
    text = (directory / "report.html").read_text()
    return [image for image in Page(text).images if "src" in image]


def test_an_episode_is_recorded_and_a_video_of_the_run_is_embedded(run, capsys):
    report_command([str(run)])
    assert videos(run) == []
    capsys.readouterr()
    report_command([str(run), "video=true"])
    assert capsys.readouterr().out.splitlines() == [str(run / "report.html")]
    (recorded,) = videos(run)
    assert recorded["src"].startswith("data:video/webm;base64,") and "after 2,0" in recorded["aria-label"]
    from a3crepro.evaluate import evaluate_command

    evaluate_command([str(run), "episodes=1", f"video={run / 'best.mp4'}"])
    report_command([str(run)])
    (embedded,) = videos(run)
    assert embedded["src"].startswith("data:video/webm;base64,") and embedded["aria-label"].endswith("best.mp4")
    (run / "best.mp4").write_bytes(b"none")
    report_command([str(run)])
    assert videos(run) == [] and "no video: " in (run / "report.html").read_text()


# ---- Charts ----------------------------------------------------------------------------------------------------------


def path_of(svg):
    """The points of the only curve."""
    (data,) = re.findall(r'class="curve c0" d="M([^"]+)"', svg)
    return np.array([point.split() for point in data.split("L")], float)


def test_a_curve_is_drawn_to_scale():
    x, y = np.array([0.0, 50, 100]), np.array([0.0, 10, 5])
    points = path_of(line_chart("Score", "frames", [Curve("run", x, y)]))
    across = points[:, 0]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1])
    rise = points[0, 1] - points[:, 1]  # upwards
    assert rise[1] == pytest.approx(2 * rise[2], abs=0.2) and rise[1] > 100


@pytest.mark.parametrize(("low", "high"), [(6.989e-4, 6.999e-4), (1.3830, 1.3831), (12_345, 12_346), (-1e-3, 1e-3)])
def test_no_two_ticks_have_the_same_label(low, high):
    shown = line_chart("Learning rate", "frames", [Curve("run", np.array([0.0, 1000]), np.array([low, high]))])
    labels = re.findall(r'text-anchor="end">([^<]+)<', shown)
    assert len(labels) > 2 and len(set(labels)) == len(labels)


def test_long_curves_are_means_and_missing_values_are_left_out():
    y = np.arange(10 * MAX_POINTS, dtype=float)
    found = Curve("run", y, y).finite()
    assert len(found.y) == MAX_POINTS and found.y[0] == 4.5 and found.y.mean() == pytest.approx(y.mean())
    y[[3, 5]] = np.nan, np.inf
    assert len(Curve("run", np.arange(6.0), y[:6]).finite().y) == 4
    assert "no values" in line_chart("Score", "frames", [Curve("run", np.zeros(1), np.full(1, np.nan))])


def test_labels_are_escaped_and_constant_curves_drawn():
    svg = line_chart("<b>", "frames", [Curve('"&<run>', np.arange(3.0), np.ones(3))])
    assert "<run>" not in svg and "&lt;run&gt;" in svg and np.isfinite(path_of(svg)).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.25, "0.25"), (1500, "1500"), (20_000, "20k"), (1_500_000, "1.5M"), (-21, "-21"), (7e-4, "7e-04"),
        (3 * 2e-4, "6e-04"), (3.2e8, "320M"), (0.00073, "0.00073"),
    ],
)  # fmt: skip
def test_numbers_of_axes_are_short(value, text):
    assert short(value) == text
