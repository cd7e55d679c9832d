"""Figures to look at closely: their data, from the committed tables; `static/figures.js` draws them with Plotly."""

import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from a3crepro.experiments.figures import METHODS, OWN, TITLES, paper
from a3crepro.experiments.results import stacked
from a3crepro.experiments.statistics import MIN_RUNS, band
from analysis._threads import CELL, Curves, own_curves
from builder.claims import best_scale, tables
from builder.places import raw

MINATAR = "minatar/"
DIGITS = 4


def rounded(values: Iterable[float]) -> list[float]:
    """Numbers as a figure needs them."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


# ---- Learning rates --------------------------------------------------------------------------------------------------


def points(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A series for each method, with a point for each run."""
    found = []
    for method, runs in table.groupby("method", sort=False):
        runs = runs.sort_values("learning_rate")
        series = {"method": METHODS[str(method)], "x": rounded(runs["learning_rate"]), "y": rounded(runs["score"])}
        for column in ("seed", "command"):
            if column in runs:
                series[column] = runs[column].tolist()
        found.append(series)
    return sorted(found, key=lambda series: list(METHODS.values()).index(series["method"]))


def learning_rates() -> list[dict[str, Any]]:
    """The panels to choose from: this reproduction's games, by RMSProp's ε, then the paper's."""
    panels = []
    if results := tables("learning_rates"):
        for (env, epsilon), runs in results.runs.groupby(["env", "epsilon"], sort=False):
            panels.append({"title": f"{TITLES[str(env)]}, {OWN}, ε = {epsilon:g}", "series": points(runs)})
    for game, runs in paper("fig2_s11_learning_rates").groupby("game"):
        panels.append({"title": f"{TITLES[str(game)]}, the paper", "series": points(runs)})
    return panels


# ---- Learning curves -------------------------------------------------------------------------------------------------


def line(method: str, threads: int, x: np.ndarray, scores: np.ndarray, name: str, by: str) -> dict[str, Any]:
    """A curve: the mean of runs [runs, points], with its 95 % interval."""
    found = {"method": METHODS[method], "threads": int(threads), "name": name, "by": by, "x": rounded(x)}
    found["y"] = rounded(scores.mean(0))
    if len(scores) >= MIN_RUNS:
        low, high = band(scores)
        found |= {"low": rounded(low), "high": rounded(high)}
    return found


def own_lines() -> dict[str, list[dict[str, Any]]]:
    """This reproduction's curves, by game: the experiment on numbers of actor-learners, and the first runs on Atari."""
    found: dict[str, list[dict[str, Any]]] = {}
    curves: Curves = own_curves(tables("thread_scaling"), "epoch")
    for (env, method, threads), curve in curves.items():
        n = len(curve.scores)
        name = f"{OWN}, {threads} actor-learner{'s' * (threads > 1)}, {n} run{'s' * (n > 1)}"
        found.setdefault(env, []).append(line(method, threads, curve.x, curve.scores, name, OWN))
    if first := tables("first_runs"):
        evaluations = first.evaluations(first.runs[~first.runs["env"].str.startswith(MINATAR)])
        for (env, method, threads, rate), part in evaluations.groupby([*CELL, "learning_rate"]):
            name = f"{OWN}, {threads} actor-learners, learning rate {rate:g}, one run"
            found.setdefault(env, []).append(line(method, threads, *stacked(part, "epoch"), name, OWN))
    return found


def paper_lines() -> dict[str, list[dict[str, Any]]]:
    """The paper's curves, by game."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (game, method, threads), part in paper("fig3_s9_data_efficiency").groupby(["game", "method", "threads"]):
        name = f"the paper, {threads} thread{'s' * (threads > 1)}"
        curve = line(method, threads, part["epoch"].to_numpy(), part["score"].to_numpy()[None], name, "paper")
        bands = {"low": rounded(part["band_low"]), "high": rounded(part["band_high"])}
        found.setdefault(str(game), []).append(curve | bands)
    return found


def learning_curves() -> list[dict[str, Any]]:
    """The games to choose from, each with its curves and the paper's of the same game, or of MinAtar's model."""
    own, theirs = own_lines(), paper_lines()
    panels = []
    for game in [
        *sorted(own, key=lambda env: not env.startswith(MINATAR)),
        *(game for game in theirs if game not in own),
    ]:
        of_paper = game.removeprefix(MINATAR)
        separate = game != of_paper
        panels.append(
            {
                "title": TITLES[game],
                "paper_title": f"{TITLES.get(of_paper, '')} (Atari), the paper" if separate else "",
                "lines": own.get(game, []) + theirs.get(of_paper, []),
            }
        )
    return panels


# ---- HTML ------------------------------------------------------------------------------------------------------------

TEXTS: Mapping[str, tuple[str, str, str]] = {
    "learning_rates": (
        "learning_rates",
        "Final scores over learning rates, one point for each run",
        "Each point is a run. Choose a game; click a method in the legend to hide it. Point at a run to see its "
        "learning rate, seed and score; click it to see the command that repeats it.",
    ),
    "learning_curves": (
        "data_efficiency",
        "Scores over epochs for several numbers of actor-learners",
        "Choose a game, a method and numbers of actor-learners. An epoch is a million agent steps. Bands: 95 % "
        f"intervals of the mean of {OWN}'s runs; the paper does not define its own.",
    ),
}
"""For each figure: the picture that shows the same, its description for those who do not see it, and how to use it."""
SWEEPS = {"learning_rates": "learning_rates", "learning_curves": "thread_scaling"}
DATA = {"learning_rates": learning_rates, "learning_curves": learning_curves}


def figure(name: str) -> str:
    """An interactive figure; without JavaScript, a picture and a table of the same."""
    picture, description, use = TEXTS[name]
    sweep = SWEEPS[name]
    note = "" if tables(sweep) else f" {OWN}: not run yet."
    if best_scale(sweep) == "earlier":
        note = f" {OWN}'s runs are those from before the experiment was last changed."
    same = f'As <a href="figures/{picture}.svg">a picture</a> and <a href="figures/{picture}.html">a table</a>.'
    data = json.dumps({"figure": name, "panels": DATA[name]()}, ensure_ascii=False).replace("</", "<\\/")
    return raw(f"""<div class="interactive">
<p class="use">{html.escape(use + note)}</p>
<form class="controls"></form>
<div class="plot" role="img" aria-label="{html.escape(description)}"></div>
<pre class="command" aria-live="polite" hidden></pre>
<p class="use">{same}</p>
<noscript><img src="figures/{picture}.svg" alt="{html.escape(description)}"></noscript>
<script type="application/json">{data}</script>
<script defer src="_static/plotly.min.js"></script>
<script defer src="_static/figures.js"></script>
</div>""")
