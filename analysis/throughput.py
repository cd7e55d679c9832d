"""Tables and a plot of throughput from `results/throughput/*.jsonl`: a `.csv` for each, and `threads.png`.

Prints the tables of the pages in `docs/`. If a file holds calls of several commits or machines, only the last one's
count.
"""

import pandas as pd
from matplotlib.ticker import LogLocator, StrMethodFormatter

from a3crepro.common.errors import UserError
from a3crepro.experiments.figures import COLORS, TITLES, legend_below, panels, print_written
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text

DIRECTORY = RESULTS / "throughput"
FIGURES = ["steps_per_second", "emulator_steps_per_second", "fraction_of_emulator", "peak_pss_bytes"]


def summarise(calls: pd.DataFrame) -> pd.DataFrame:
    """Median, minimum and maximum of each figure of each case, and the number of calls."""
    grouped = calls.groupby(["case", "implementation"], sort=False, dropna=False)
    table = pd.DataFrame({"calls": grouped.size(), "threads": grouped["threads"].first()})
    for figure in [*FIGURES, "seconds_to_first_update"]:
        values = grouped[figure]
        table[figure], table[f"{figure}_low"], table[f"{figure}_high"] = values.median(), values.min(), values.max()
    return table.reset_index()


def print_table(table: pd.DataFrame) -> None:
    """Prints the cases with and without autograd side by side, as Markdown."""
    autograd = table[table["implementation"] == "module"].set_index("case")["steps_per_second"]
    print(
        "| case | steps/s, median (range) | by autograd | of the emulator alone | memory, MiB | first update after, s |"
    )
    print("|---|---|---|---|---|---|")
    for row in (row for _, row in table.iterrows() if row.implementation != "module"):
        cells = [f"{row.fraction_of_emulator:.2f}", f"{row.peak_pss_bytes / 2**20:,.0f}"]
        slower = f"{autograd.get(row.case, float('nan')):,.0f}"
        words = [row.case, spread(row), slower, *cells, f"{row.seconds_to_first_update:.1f}"]
        print("|", " | ".join("" if word == "nan" else word for word in words), "|")


def spread(row: pd.Series, figure: str = "steps_per_second") -> str:
    """Median and range of a figure."""
    return f"{row[figure]:,.0f} ({row[f'{figure}_low']:,.0f} to {row[f'{figure}_high']:,.0f})"


def print_fractions(table: pd.DataFrame) -> None:
    """Prints steps per second beside the emulator alone, as Markdown."""
    print("| case | steps/s, median (range) | emulator alone | of it | memory, MiB |\n|---|---|---|---|---|")
    for _, row in table.iterrows():
        emulator = f"{row.emulator_steps_per_second:,.0f}"
        memory = f"{row.peak_pss_bytes / 2**20:,.0f}"
        case = f"{row.case}, by autograd" if row.implementation == "module" else row.case
        print(f"| {case} | {spread(row)} | {emulator} | {row.fraction_of_emulator:.2f} | {memory} |")


def compare_versions(calls: pd.DataFrame) -> pd.DataFrame:
    """Each case of two commits, and the medians and ranges of their ratios, call by call."""
    commits = list(dict.fromkeys(calls["commit"][::-1]))[:2]  # the last call is one of the earlier commit
    if len(commits) < 2:
        raise UserError("versions: calls of two commits are needed")
    before, now = commits
    calls = calls[calls["commit"].isin(commits)]
    pairs = calls.pivot(index=["case", "call"], columns="commit", values=["steps_per_second", "fraction_of_emulator"])
    ratios = (pairs["steps_per_second"][now] / pairs["steps_per_second"][before]).groupby("case", sort=False)
    table = pairs.groupby("case", sort=False).median()
    table.columns = [f"{figure}_{'now' if commit == now else 'before'}" for figure, commit in table.columns]
    for name, values in (("ratio", ratios.median()), ("ratio_low", ratios.min()), ("ratio_high", ratios.max())):
        table[name] = values
    return table.loc[calls["case"].unique()].reset_index().assign(calls=calls["call"].nunique(), before=before, now=now)


def print_versions(table: pd.DataFrame) -> None:
    """Prints the comparison, as Markdown."""
    print("| case | steps/s before | now | ratio (range) | of the emulator before | now |\n|---|---|---|---|---|---|")
    for row in table.itertuples():
        speeds = f"{row.steps_per_second_before:,.0f} | {row.steps_per_second_now:,.0f}"
        ratios = f"{row.ratio:.2f} ({row.ratio_low:.2f} to {row.ratio_high:.2f})"
        print(
            f"| {row.case} | {speeds} | {ratios} | {row.fraction_of_emulator_before:.2f} "
            f"| {row.fraction_of_emulator_now:.2f} |"
        )


def draw_threads(calls: pd.DataFrame) -> None:
    """Draws steps per second against threads, beside the emulator alone."""
    figure, grid = panels(2, width=4.0, height=3.2)
    for axes, (env, here) in zip(grid[0], calls.groupby("env", sort=False), strict=True):
        for column, label, line, color in (
            ("steps_per_second", "A3C", "o-", COLORS["a3c"]),
            ("emulator_steps_per_second", "emulator alone", "s--", "0.3"),
        ):
            values = here.groupby("threads")[column]
            axes.plot(values.median().index, values.median(), line, color=color, label=label)
            axes.fill_between(values.min().index, values.min(), values.max(), color=color, alpha=0.2, linewidth=0)
        alone = here[here["threads"] == 1]["steps_per_second"].median()
        cores = int(here["cores"].iloc[0])
        threads = sorted(here["threads"].unique())
        axes.plot(
            threads, [alone * min(n, cores) for n in threads], ":", color="0.4", label="A3C, linear up to all cores"
        )
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="actor-learners",
            title=f"{TITLES[env.removeprefix('atari/')]}, {cores} cores",
        )
        axes.set_xticks(threads, threads)
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    grid[0][0].set_ylabel("agent steps per second")
    legend_below(figure, grid.flat)
    figure.savefig(DIRECTORY / "threads.png", dpi=150)
    print_written(DIRECTORY / "threads.png")


def main() -> None:
    """Writes the files for which there are measurements, and prints the tables."""
    for part in ("table", "threads", "executions", "control"):
        path = DIRECTORY / f"{part}.jsonl"
        if not path.exists():
            continue
        calls = pd.read_json(path, lines=True)
        last = calls.iloc[-1]
        calls = calls[(calls["commit"] == last["commit"]) & (calls["cpu"] == last["cpu"])]
        table = summarise(calls)
        write_text(DIRECTORY / f"{part}.csv", table.to_csv(index=False))
        print_written(DIRECTORY / f"{part}.csv")
        if part == "table":
            print_table(table)
        else:
            print_fractions(table)
        if part == "threads":
            draw_threads(calls)
    for versions in sorted(DIRECTORY.glob("versions*.jsonl")):
        table = compare_versions(pd.read_json(versions, lines=True))
        write_text(versions.with_suffix(".csv"), table.to_csv(index=False))
        print_written(versions.with_suffix(".csv"))
        print_versions(table)


if __name__ == "__main__":
    run_command(main, __doc__)
