"""Tables 1 and S3: human-normalised scores of 57 games, from the paper's raw scores and from this reproduction's.

  python analysis/atari_table.py [scale=laptop]

At the scale `laptop` the games are MinAtar's, which have no human scores; the table compares them with DQN and AC(λ)
of Young and Tian (2019) after 5M frames.
"""

import functools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from a3crepro.experiments.figures import (
    OWN,
    PALETTE,
    TITLES,
    Page,
    Results,
    legend_below,
    markdown,
    panels,
    paper,
    script,
)
from a3crepro.experiments.results import select, setting
from a3crepro.experiments.statistics import (
    MIN_RUNS,
    interquartile_mean,
    interval_of_mean,
    stratified_bootstrap,
    table_1,
)
from a3crepro.runs.command_line import run_command

ROWS = {
    "dqn": "DQN", "gorila": "Gorila", "double_dqn": "D-DQN", "dueling": "Dueling D-DQN",
    "prioritized": "Prioritized DQN", "a3c_ff_1day": "A3C, FF, 1 day", "a3c_ff_4day": "A3C, FF, 4 days",
    "a3c_lstm": "A3C, LSTM, 4 days",
}  # fmt: skip

COMPARED = "a3c_ff_1day"
"""The paper's row that also stands in the games alone that have been run."""


def normalised(column: str) -> dict[str, float]:
    """A method's human-normalised scores, for the games it has."""
    human = paper("human_random_scores").set_index("game")
    scores = paper("table_s3_human_starts").set_index("game")[column].dropna()
    return table_1(scores.to_dict(), human["hs_random"].to_dict(), human["hs_human"].to_dict())


def own_normalised(results: Results) -> dict[tuple[str, int], list[np.ndarray]]:
    """This reproduction's scores from no-op starts, by network and frames: for each game, a value per run."""
    human = paper("human_random_scores").set_index("game")
    found = {}
    for (network, budget), runs in results.runs.groupby(["network", "budget"]):
        known = {str(env): scores.to_numpy(float) for env, scores in runs.groupby("env")["score"] if env in human.index}
        if known:
            values = table_1(known, human["noop_random"].to_dict(), human["noop_human"].to_dict())
            found[str(network), int(budget)] = list(values.values())
    return found


LOWEST = 0.1
"""Per cent, in the figure: a logarithmic axis cannot show scores below a random policy's."""


def draw(axes: Axes, values: dict[str, list[np.ndarray]]) -> None:
    """Draws the share of games above each score."""
    for number, (label, scores) in enumerate(values.items()):
        kept = np.sort(np.maximum([runs.mean() for runs in scores], LOWEST))[::-1]
        axes.plot(kept, np.arange(1, len(kept) + 1) / len(kept), linewidth=1.2, label=label,
                  linestyle=("-", "--", ":", "-.")[number % 4],
                  color="black" if label.startswith("A3C") else PALETTE[number % len(PALETTE)])  # fmt: skip
    axes.set(xscale="log", xlabel="human-normalised score, %", ylabel="share of games with a higher score")
    axes.axvline(100, color="0.6", linewidth=0.8)


def minatar_table(results: Results) -> str:
    """Raw scores of MinAtar's games beside those of its authors."""
    others = paper("other_minatar").pivot(index="game", columns="method", values="score_final_100_episodes")
    others.index = "minatar/" + others.index
    header = ["game", "network", "million frames", "A3C, mean of the seeds", "DQN, 5M frames", "AC(0.8), 5M frames"]
    runs = results.runs[results.runs["env"].isin(others.index)]
    if runs.empty:
        return ""
    with_lstm = setting(runs, "network.lstm_cells").map(lambda cells: f", {cells} LSTM cells" if cells else "")
    rows = []
    for (env, network, budget), group in runs.groupby(["env", runs["network"] + with_lstm, "budget"]):
        from_paper = [f"{others.loc[env, name]:.1f}" for name in ("dqn", "ac_lambda_0.8")]
        rows.append([TITLES[env], network, f"{budget / 1e6:.1f}", str(interval_of_mean(group["score"])), *from_paper])
    return markdown(header, rows)


@functools.cache
def printed() -> dict[str, str]:
    """Mean and median as the paper's Table 1 prints them, by the names in `ROWS`."""
    table = paper("table1_human_normalized")
    names = table["method"].where(
        ~table["method"].str.startswith("A3C"), table["method"] + ", " + table["training_time"]
    )
    return dict(zip(names, table["mean_pct"].map("{:.1f}".format) + ", " + table["median_pct"].map(str), strict=True))


def row(name: str, scores: Sequence[np.ndarray]) -> list[object]:
    """A method's row, from its values [runs] for each game."""
    found = [stratified_bootstrap(scores, statistic) for statistic in (np.mean, np.median, interquartile_mean)]
    few = sum(map(len, scores)) < MIN_RUNS
    cells = [f"{one.value:.1f} ({'no interval' if few else f'{one.low:.1f} to {one.high:.1f}'})" for one in found]
    return [name, len(scores), *cells, printed().get(name, "–")]


@script("atari_table")
def main(results: Results | None) -> Page:
    """Draws the distribution of the scores and writes the table."""
    values = {name: [np.array([score]) for score in normalised(column).values()] for column, name in ROWS.items()}
    for (network, frames), scores in (own_normalised(results) if results else {}).items():
        values[f"{OWN}, {network}, {frames / 1e6:,.0f}M frames"] = scores
        assert results is not None
        theirs = normalised(COMPARED)
        runs = select(results.runs, network=network, budget=frames)
        if games := [game for game in theirs if game in set(runs["env"])]:
            label = f"{ROWS[COMPARED]}, in {len(games)} of its games"
            values |= {label: [np.array([theirs[game]]) for game in games]} if len(games) < len(theirs) else {}
    header = ["method", "games", "mean", "median", "interquartile mean", "mean, median as printed"]
    table = markdown(header, [row(name, scores) for name, scores in values.items()])
    if results:
        table += "\n\n" + minatar_table(results)
    figure, grid = panels(1, width=5.5, height=3.6)
    draw(grid[0][0], values)
    legend_below(figure, grid.flat, columns=3)
    caption = (
        "In per cent, with 95 % bootstrap intervals: over the runs of each game, where there are several, else over "
        "the games. Video Pinball counts as score / human in the rows of 57 games, as in the paper "
        f"(statistics.table_1). Starts: the paper's from human play, {OWN}'s after no-ops. The figure has what is "
        f"below {LOWEST} % at {LOWEST} %."
    )
    return figure, table, caption


if __name__ == "__main__":
    run_command(main, __doc__)
