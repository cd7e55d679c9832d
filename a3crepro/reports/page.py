"""The web page of a report: one self-contained file."""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from a3crepro import __version__
from a3crepro.reports.charts import Curve, line_chart, style_of
from a3crepro.reports.records import Record, differing_keys, paper_curve
from a3crepro.runs.metrics import METRICS
from a3crepro.runs.run_directory import EVALUATIONS

EPISODE_PARTS = 100
"""Training scores are means of as many parts of the episodes."""
MAX_THREADS = 32
"""More actor-learners have no curve each."""
MAX_ROWS = 200
"""Most rows of a table in the page, which are its last ones."""


@dataclass(frozen=True)
class Clip:
    """A video of an episode."""

    run: str
    caption: str
    webm: bytes


@dataclass(frozen=True)
class Scale:
    """A horizontal axis of all charts."""

    column: str
    label: str
    size: float
    """Size of the axis's unit, in the unit of the column."""

    def of(self, table: pd.DataFrame) -> np.ndarray:
        x: np.ndarray = table[self.column].to_numpy(float) / self.size
        return x


Draw = Callable[[Record, str, int, Scale], list[Curve]]


def page_of(records: Sequence[Record], labels: Sequence[str], clips: Sequence[Clip] = ()) -> str:
    """The HTML of a report on one run, or on several side by side."""
    title = f"{records[0].env}, {labels[0]}" if len(records) == 1 else f"{len(records)} runs"
    notes = [f"{label}: {note}" for record, label in zip(records, labels, strict=True) for note in record.notes]
    charts = _charts(records, labels, notes)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">a3crepro {__version__}, {time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())}</p>',
        _overview(records, labels),
        "".join(f'<p class="note">{escape(note)}</p>' for note in dict.fromkeys(notes)),
        charts,
        *map(_clip, clips),
        *_configuration(records, labels),
        *(_details(record, label) for record, label in zip(records, labels, strict=True)),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{"".join(body)}
</body>
</html>
"""


# ---- Charts ----------------------------------------------------------------------------------------------------------


def _evaluations(record: Record, label: str, number: int, scale: Scale) -> list[Curve]:
    table = record.tables["evaluations"]
    mean, std = table["score_mean"].to_numpy(float), table["score_std"].to_numpy(float)
    return [Curve(label, scale.of(table), mean, mean - std, mean + std, number)]


def _training(record: Record, label: str, number: int, scale: Scale) -> list[Curve]:
    table = record.tables["episodes"].sort_values(scale.column, kind="stable")  # actor-learners report in batches
    parts = min(EPISODE_PARTS, len(table))
    if not parts:
        return []
    x, score = scale.of(table), table["score"].to_numpy(float)
    means = [np.array([part.mean() for part in np.array_split(values, parts)]) for values in (x, score)]
    return [Curve(label, means[0], means[1], number=number)]


def _metric(column: str) -> Draw:
    def draw(record: Record, label: str, number: int, scale: Scale) -> list[Curve]:
        table = record.tables["metrics"]
        return [Curve(label, scale.of(table), table[column].to_numpy(float), number=number)]

    return draw


def _threads(record: Record, label: str, number: int, scale: Scale) -> list[Curve]:
    """A thin curve for each actor-learner, or, of many, a band from the slowest to the fastest; and their mean."""
    table = record.tables["metrics"]
    speeds = [[float(cell) for cell in cells.split()] for cells in table["thread_frames_per_second"]]
    threads = max(map(len, speeds), default=0)
    each = np.array([[*row, *[np.nan] * (threads - len(row))] for row in speeds]).reshape(len(table), threads)
    x, mean = scale.of(table), table["frames_per_second"].to_numpy(float) / max(1, threads)
    if threads > MAX_THREADS:
        return [Curve("mean of the actor-learners", x, mean, each.min(1), each.max(1))]
    curves = [
        Curve(f"actor-learner {thread}", x, each[:, thread], number=thread, is_thin=True) for thread in range(threads)
    ]
    return [*curves, Curve("mean of the actor-learners", x, mean)]


CHARTS: Mapping[str, tuple[str, Draw]] = {
    "Evaluation score": ("mean of each evaluation's episodes; band: ± their standard deviation", _evaluations),
    "Training score": ("means of consecutive episodes of the actor-learners", _training),
    "Entropy": ("of the policy, in nats", _metric("entropy")),
    "ε": ("mean of the actor-learners", _metric("epsilon")),
    "Policy loss": ("mean over states", _metric("policy_loss")),
    "Value loss": ("mean over states; of Q for value-based methods", _metric("value_loss")),
    "Explained variance": ("of the returns by the estimate: at most 1", _metric("explained_variance")),
    "Gradient norm": ("before clipping", _metric("gradient_norm")),
    "Learning rate": ("", _metric("learning_rate")),
    "Staleness": ("updates between reading θ and applying a gradient, mean", _metric("staleness")),
    "Frames per second": ("all actor-learners together", _metric("frames_per_second")),
    "Frames per second by actor-learner": ("thick: their mean; of more than 32, the band of all", _threads),
}


def _charts(records: Sequence[Record], labels: Sequence[str], notes: list[str]) -> str:
    """All charts over frames and over time, of which a switch shows one; adds notes on the paper's curves."""
    scales = (Scale("frames", "frames", 1), _time_scale(records))
    figures = []
    for title, (explanation, draw) in CHARTS.items():
        if draw is _threads and len(records) > 1:
            continue
        drawn = []
        for scale in scales:
            curves = [
                curve
                for number, (record, label) in enumerate(zip(records, labels, strict=True))
                for curve in draw(record, label, number, scale)
            ]
            if not any(np.isfinite(curve.y).any() for curve in curves) and title in ("Entropy", "ε", "Policy loss"):
                continue  # the method has no such number
            if draw is _evaluations:
                curves = [*_paper(records, scale, notes), *curves]
            chart = line_chart(title, scale.label, curves)
            drawn.append(f'<div class="over-{scale.column}">{chart}</div>{_legend(curves, scale)}')
        if drawn:
            heading = f"<b>{escape(title)}</b> {escape(explanation)}"
            figures.append(f"<figure><figcaption>{heading}</figcaption>{''.join(drawn)}</figure>")
    return SWITCH + f'<main class="charts">{"".join(figures)}</main>'


def _time_scale(records: Sequence[Record]) -> Scale:
    tables = [table["seconds"] for record in records for table in record.tables.values() if len(table)]
    longest = max((float(seconds.max()) for seconds in tables), default=0.0)
    name, size = next((unit for unit in (("hours", 3600), ("minutes", 60)) if longest >= 2 * unit[1]), ("seconds", 1))
    virtual = {record.is_virtual for record in records}
    kind = {(True,): "virtual ", (False, True): "(in part virtual) "}.get(tuple(sorted(virtual)), "")
    return Scale("seconds", f"{kind}{name}", size)


def _paper(records: Sequence[Record], scale: Scale, notes: list[str]) -> list[Curve]:
    """The paper's curves of the games and methods of these runs, each once, as far as the runs have come."""
    found: dict[str, Curve] = {}
    tables = [table for record in records for table in record.tables.values() if len(table)]
    furthest = max((float(table[scale.column].max()) for table in tables), default=0)
    several = len({record.env for record in records}) > 1
    for record in records:
        curve = paper_curve(record, scale.column, notes)
        if curve is None:
            continue
        threads = f", {curve['threads'].iloc[0]} threads" if "threads" in curve else ", 16 threads"
        label = f"the paper's {record.config.get('algo.name')}{f' in {record.env}' if several else ''}{threads}"
        shown = curve[curve[scale.column].shift(fill_value=0.0) <= furthest]
        x, y, low, high = (shown[column].to_numpy(float) for column in (scale.column, "score", "band_low", "band_high"))
        found.setdefault(label, Curve(label, x / scale.size, y, low, high, is_reference=True))
    return list(found.values())


def _legend(curves: Sequence[Curve], scale: Scale) -> str:
    named = [curve for curve in curves if not curve.is_thin]
    if len(named) < 2:
        return ""
    items = []
    for curve in named:
        kind, dashes = style_of(curve)
        line = (
            f'<svg class="key" viewBox="0 0 24 8" aria-hidden="true"><path class="curve {kind}"{dashes} d="M0 4H24"/>'
        )
        items.append(f"<li>{line}</svg>{escape(curve.label)}</li>")
    return f'<ul class="legend over-{scale.column}">{"".join(items)}</ul>'


# ---- Tables ----------------------------------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _overview(records: Sequence[Record], labels: Sequence[str]) -> str:
    header = ("run", "environment", "method", "state", "frames", "score", "best evaluation", "time", "commit")
    return _table(header, [_overview_row(record, label) for record, label in zip(records, labels, strict=True)])


def _overview_row(record: Record, label: str) -> list[str]:
    evaluations, score, best = record.tables["evaluations"], "–", "–"
    if record.summary.get("score_mean") is not None:
        score = f"{record.summary['score_mean']:.6g}"
    elif len(evaluations):
        score = f"{evaluations['score_mean'].iloc[-1]:.6g}"
    if evaluations["score_mean"].notna().any():
        row = evaluations.iloc[int(np.nanargmax(evaluations["score_mean"].to_numpy(float)))]
        best = f"{row['score_mean']:.6g} at {row['frames']:,.0f} frames"
    seconds = [float(table["real_seconds"].max()) for table in record.tables.values() if len(table)]
    minutes, rest = divmod(int(max(seconds, default=0.0)), 60)
    algo, commit = str(record.config.get("algo.name", "unknown")), record.commit[:7]
    duration = f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    return [label, record.env, algo, record.state, f"{record.frames:,}", score, best, duration, commit]


def _configuration(records: Sequence[Record], labels: Sequence[str]) -> list[str]:
    """The keys that differ, and all keys of the first run."""
    differing = differing_keys(records) if len(records) > 1 else []
    sections = []
    if len(records) > 1:
        rows = [[key, *(_value(record, key) for record in records)] for key in differing]
        table = _table(("key", *labels), rows) if rows else "<p>none: the runs have the same configuration</p>"
        sections.append(f"<h2>Keys that differ</h2>{table}")
    rows = [[key, _value(records[0], key)] for key in records[0].config if key not in differing]
    title = "Configuration" if len(records) == 1 else "Other keys"
    sections.append(f"<details><summary>{title}</summary>{_table(('key', 'value'), rows)}</details>")
    return sections


def _value(record: Record, key: str) -> str:
    if key not in record.config:
        return "–"
    value = record.config[key]
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _details(record: Record, label: str) -> str:
    """The last rows of the evaluations and metrics, as they are in the tables."""
    parts = []
    for name, columns in (("evaluations", EVALUATIONS), ("metrics", METRICS)):
        rows = record.raw[name]
        shown = f", the last {MAX_ROWS} of {len(rows)} rows" if len(rows) > MAX_ROWS else ""
        summary = f"<summary>{name}.csv of {escape(label)}{shown}</summary>"
        parts.append(f"<details>{summary}{_table(columns, rows[-MAX_ROWS:])}</details>")
    return "".join(parts)


def _clip(clip: Clip) -> str:
    data = base64.b64encode(clip.webm).decode()
    text = escape(f"{clip.run}: {clip.caption}")
    video = f'<video controls muted loop playsinline aria-label="{text}" src="data:video/webm;base64,{data}"></video>'
    return f'<figure class="clip"><figcaption>{text}</figcaption>{video}</figure>'


SWITCH = """<fieldset class="switch"><legend>Horizontal axis</legend>
<label><input type="radio" name="over" id="frames" checked> frames</label>
<label><input type="radio" name="over" id="seconds"> time</label></fieldset>"""
STYLE = Path(__file__).with_name("page.css").read_text()
