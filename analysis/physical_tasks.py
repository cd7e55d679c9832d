"""Figure S8: continuous control over time, with readings of the paper's figure.

  python analysis/physical_tasks.py [scale=laptop]

The paper's tasks were never released, and rewards are not comparable. The table therefore compares scores with the
Control Suite's own A3C after 100M steps (Tassa et al. 2018). `physical_tasks_search.py` draws the learning rates.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from a3crepro.experiments import figures
from a3crepro.experiments.experiment import HELD_OUT
from a3crepro.experiments.figures import Page, Results, markdown, number, script
from a3crepro.experiments.results import select, setting, stacked
from a3crepro.experiments.statistics import interval_of_mean
from a3crepro.runs.command_line import run_command

MAX_SCORE = 1000.0
"""Maximum score of a task."""
EPISODES = 10
"""Episodes per evaluation (`sweeps/physical_tasks.py`)."""
PAPERS, WHOLE_EPISODES = "the paper's updates", "whole episodes, else as rollouts"
"""Names of two ways to learn; `sweeps/physical_tasks.py` has their settings."""
SEARCHED = "rollouts of 20, ε 1e-05"
"""The rollouts that were run at all rates."""
SECOND = "rollouts of 20, entropy cost 0.03"
"""The second search, also with ε = 1e-5: longer, with slow annealing and an entropy cost that keeps the variance up."""
THIRD = "separate networks, entropy cost 0.03"
"""The third search, otherwise as the second."""
PANELS = {
    "cartpole_balance": "Cartpole", "cartpole_swingup": "Cartpole", "pendulum_swingup": "Pendulum",
    "point_mass_easy": "Pointmass 2D", "reacher_easy": "Reacher", "reacher_hard": "Reacher", "cheetah_run": "Cheetah",
    "walker_stand": "Walker 2D", "walker_walk": "Walker 2D", "hopper_hop": "Hopper",
    "manipulator_bring_ball": "Gripper", "cartpole_swingup_pixels": "–", "cheetah_run_pixels": "–",
    "pendulum_swingup_pixels": "Pendulum RGB", "point_mass_easy_pixels": "Pointmass2D RGB",
    "manipulator_bring_ball_pixels": "Gripper RGB",
}  # fmt: skip
"""Tasks, with the paper's panel that each descends from."""
PIXELS = {f"{task}_pixels": task for task in PANELS if f"{task}_pixels" in PANELS}
"""Tasks from pixels, with the same task from state."""
TASKS = {f"control/{task}": task for task in PANELS}
"""Tasks by `env`."""
COLUMNS = 4
"""Of panels."""
SEARCHES = ("first", "second", "third")


def observation_independent_score(task: str, column: str = "score_mean") -> float:
    """The mean score of the best policy that ignores its observations, or another column of it; NaN if unknown.

    Such policies are random, constant, and constant with the noise of a Gaussian policy. For tasks from pixels, those
    that hold each action for several steps also count.
    """
    table = figures.references(f"control/{PIXELS.get(task, task)}")
    table = table if task in PIXELS else table[table["env.action_repeat"].isna()]
    return float(table.loc[table["score_mean"].idxmax(), column]) if len(table) else float("nan")


def is_learnt(task: str, score: float) -> bool:
    """Whether a score is three times `observation_independent_score`, or a fifth of the way from it to the maximum.

    Where reward is rare, the mean of a policy that ignores its observations over a few episodes is often three times
    its long-run mean, so the score must also exceed it by four of its standard errors.
    """
    least, deviation = observation_independent_score(task), observation_independent_score(task, "score_std")
    far = min(2 * least, 0.2 * (MAX_SCORE - least))
    return score > least + max(far, 4 * deviation / np.sqrt(EPISODES))


def control(results: Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and evaluations, with columns for the task, the way the run learned, and the number of its search."""
    length, cost, held = (
        setting(results.runs, key) for key in ("algo.t_max", "algo.gaussian.entropy_cost", "env.action_repeat")
    )
    separate = setting(results.runs, "network.separate") == "true"
    rollouts = "rollouts of " + length
    scheme = np.select(
        [held != "", cost != "", length != "", setting(results.runs, "algo.gaussian.bounded") == "true"],
        [
            "scaled frames, actions of " + held + " steps",
            rollouts.mask(separate, "separate networks") + ", entropy cost " + cost,
            rollouts + ", ε " + results.runs["epsilon"].map("{:g}".format),
            WHOLE_EPISODES,
        ],
        PAPERS,
    )
    search = np.select([separate | (held != ""), cost != ""], [3, 2], 1)
    runs = results.runs.assign(task=results.runs["env"].map(TASKS), scheme=scheme, search=search)
    return runs, results.evaluations().merge(runs[["run", "task", "scheme", "budget"]], on="run")


def over_time(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """A task's representative runs: held-out seeds of the latest search that has any, else its best."""
    held_out = runs[runs["seed"] >= HELD_OUT]
    if held_out.empty:
        return results.representative(["task"], runs)
    return held_out[held_out["search"] == held_out.groupby("task")["search"].transform("max")]


def suite_score(task: str, printed: str = "1e8_steps") -> float:
    """The score of the Control Suite's own A3C after 100M steps; NaN if it has none.

    `printed="planet"`: the value printed in the PlaNet paper or, if that omits the task, the other copy. The two differ
    on `reacher_easy`.
    """
    table = figures.paper("other_dm_control_a3c").set_index(["domain", "task"])
    copies = table[f"a3c_state_{printed}"].fillna(table["a3c_state_1e8_steps"])
    copies.index = copies.index.map("_".join)
    return float(copies.get(task, float("nan")))


def suite_scores(task: str) -> str:
    """Both printed copies of the score, if they differ."""
    one, other = suite_score(task), suite_score(task, "planet")
    return f"{one:.1f} or {other:.0f}" if abs(one - other) > 1 else number(one)


def draw_hours(axes: Axes) -> None:
    """Draws the hours that the paper's agents took to near their plateaus, as read off Figure S8."""
    table = figures.paper("figs7_s8_mujoco_readings")
    axes.plot(table["S8_hours_to_near_plateau"], table["domain"], "o", color="0.4", markersize=4)
    axes.set(xlabel="hours", xlim=(0, None), title="the paper: hours to near\nthe plateau, read off S8")
    axes.tick_params(axis="y", labelsize=6)


def draw_curves(axes: Axes, scores: pd.DataFrame, task: str) -> None:
    """Draws runs as thin lines, their mean as a thick one, beside scores of other policies."""
    title, levels = task, [*{suite_score(task), suite_score(task, "planet")}, observation_independent_score(task)]
    if len(found := select(scores, task=task)):
        steps, values = stacked(found, "frames")
        figures.draw_runs(axes, steps / 1e6, values, figures.COLORS["a3c"], label="A3C: mean of the seeds")
        title = f"{task}\n{len(values)} seed{'' if len(values) == 1 else 's'}"
        levels += [values.min(), values.max()]
    for score in sorted({suite_score(task), suite_score(task, "planet")}):
        figures.draw_level(axes, score, "expert", "the Suite's A3C, 100M steps (reacher_easy: two printed values)")
    figures.draw_level(axes, observation_independent_score(task), "random", "best policy that ignores its observations")
    low, high = np.nanmin(levels), np.nanmax(levels)
    if high > low:
        axes.set_ylim(low - 0.07 * (high - low), high + 0.07 * (high - low))
    axes.set(title=title, xlabel="million steps", ylabel="score")
    axes.xaxis.set_major_locator(MaxNLocator(4))


@script("physical_tasks")
def main(results: Results | None) -> Page:
    """Draws the figure and writes the table."""
    runs, scores = control(results) if results else (pd.DataFrame(columns=["task"]), pd.DataFrame())
    shown = scores[scores["run"].isin(over_time(results, runs)["run"])] if results else scores
    tasks = list(dict.fromkeys(runs["task"]))
    figure, (*own, last) = figures.rows_of_panels(len(tasks) + 1, COLUMNS, figures.WIDTH / COLUMNS, 2.3)
    for axes, task in zip(own, tasks, strict=True):
        draw_curves(axes, shown, task)
    draw_hours(last)
    figures.legend_below(figure, own, columns=1)
    caption = (
        f"Scores of the Control Suite's tasks, at most {MAX_SCORE:,.0f}; final scores, means over seeds (with 95 % "
        f"intervals from five on). {caption_of_held_out(runs)}"
        "The Suite's A3C: the Control Suite's own after 100M steps (a second score is that of the PlaNet paper, where "
        "it prints another one). The best policy that ignores its observations: random, or a constant action, also "
        "with noise; from pixels also held for 4 steps."
    )
    return figure, table_of(runs), caption


def table_of(runs: pd.DataFrame) -> str:
    """A row per task or, if nothing has been run, per panel of the paper."""
    if runs.empty:
        readings = figures.paper("figs7_s8_mujoco_readings")
        header = ["paper's domain", "input", "start (S8)", "best (S8)", "hours to near its plateau"]
        return markdown(header, [[row.domain, row.input, row.S8_start, row.S8_best, row.S8_hours_to_near_plateau]
                                 for row in readings.itertuples()])  # fmt: skip
    header = ["task", "paper's domain", "its start, best score and hours (S8)", "best that ignores observations",
              "Suite's A3C, 100M steps",
              *(f"the {search} search's choice, held-out seeds" for search in SEARCHES)]  # fmt: skip
    held_out = runs[runs["seed"] >= HELD_OUT]
    rows = [
        [task, PANELS[task], paper_reading(task), number(observation_independent_score(task)), suite_scores(task),
         *(of_seeds(select(held_out, task=task, search=place)) for place, _ in enumerate(SEARCHES, start=1))]
        for task in dict.fromkeys(runs["task"])
    ]  # fmt: skip
    return markdown(header, rows)


def of_seeds(runs: pd.DataFrame) -> str:
    """Mean, number and steps of the seeds, and the mean of their greedy scores."""
    if runs.empty:
        return "–"
    drawn, greedy = (interval_of_mean(runs[column]) for column in ("score", "greedy_score"))
    return f"{drawn}, {greedy.value:.1f} without noise, {len(runs)} seeds x {runs['budget'].max() / 1e6:g}M steps"


def paper_reading(task: str) -> str:
    """What Figure S8 shows for the task's ancestor."""
    table = select(figures.paper("figs7_s8_mujoco_readings"), domain=PANELS[task])
    keys = ("S8_start", "S8_best", "S8_hours_to_near_plateau")
    return ", ".join(f"{table.iloc[0][key]:g}" for key in keys) if len(table) else "–"


def caption_of_held_out(runs: pd.DataFrame) -> str:
    """How the runs with held-out seeds learned, by search."""
    held_out = runs[runs["seed"] >= HELD_OUT] if len(runs) else runs
    if held_out.empty:
        return ""
    order = held_out.sort_values("search", kind="stable")
    search = order["search"].map(lambda place: SEARCHES[place - 1] + " search, ")
    pixels = order["task"].isin(list(PIXELS)).map({True: " (from pixels)", False: ""})
    text = search + order["scheme"] + ", learning rate " + order["learning_rate"].map("{:.2g}".format) + pixels
    words = "; ".join(dict.fromkeys(text))
    return f"Held-out seeds: {words}; drawn over time are a task's last, where the paper has its best five rates. "


if __name__ == "__main__":
    run_command(main, __doc__)
