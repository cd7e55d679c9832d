"""Tables of the runs on the five Atari games: beside the paper, at equal frames, beside others' scores, diagnostics."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from a3crepro.experiments import figures
from a3crepro.experiments.figures import METHODS, OWN, TITLES, markdown, number
from a3crepro.experiments.results import committed
from a3crepro.experiments.statistics import LAST, human_normalised
from analysis._atari import Curve, beside_paper, curves, paper_curve, plain_run, race_with_dqn
from sweeps._protocol import PAPER_GAMES

EPOCHS_COMPARED = (5, 10, 20)
"""20, 40 and 80M frames."""
DIAGNOSED = (10_000_000, 20_000_000, 40_000_000, 80_000_000)
"""Frames; the evaluations at or after these."""
BEST_EVALUATION = "best evaluation, mean of 3 seeds"
PUBLISHED = (
    ("paper_a3c_ff_1day_humanstart", "the paper, Table S3: A3C FF, 1 day", "mnih2015", "320M", "hs", "final policy"),
    ("noisynet_paper_a3c_noop_320Mframes", "NoisyNet's A3C", "–", "320M", "noop", BEST_EVALUATION),
    ("pfrl_a3c_noop_best_3seeds", "PFRL's A3C", "–", "200M to 320M", "noop", BEST_EVALUATION),
    ("chainerrl_a3c_noop_best_5seeds", "ChainerRL's A3C", "–", "–", "noop", "best evaluation"),
)
"""Column of the paper's data, source, network, frames, starts (human or no-op), and which score it is."""
SHOWN = (20_000_000, 80_000_000)
"""Frames at which the published curve is told."""
STARTS = {"hs": "human", "noop": "no-op"}


def runs(found: Sequence[Curve]) -> str:
    """A row per run: its final score beside the paper's, and its time beside DQN's."""
    header = ["game", "method", "what differs", "seed", "learning rate", "epochs", "final score",
              "the paper at the middle of the last three", "its band", "ratio", "ratio above random", "lag, epochs",
              "hours to DQN's best", "DQN's hours"]  # fmt: skip
    return markdown(header, [row(curve) for curve in ordered(found)])


def ordered(found: Sequence[Curve]) -> list[Curve]:
    """By game, method and seed."""
    return sorted(found, key=lambda curve: (curve.env, list(METHODS).index(curve.method), curve.seed))


def row(curve: Curve) -> list[object]:
    """The row of a run; before three evaluations it has no final score."""
    start = [TITLES[curve.env], METHODS[curve.method], differs(curve), curve.seed, f"{curve.learning_rate:.4g}",
             f"{curve.epochs:.1f}{'' if curve.finished else ', unfinished'}"]  # fmt: skip
    if len(curve.table) < LAST:
        return [*start, *["–"] * 8]
    beside, race, final = beside_paper(curve), race_with_dqn(curve), curve.final
    random = figures.reference(curve.env)
    in_hours = [race.in_words(), f"{race.dqn_hours:.0f}"] if curve.execution == "virtual_time" else ["–", "–"]
    return [
        *start, f"{final}", number(beside.paper), f"{beside.band[0]:.1f} to {beside.band[1]:.1f}",
        number(beside.ratio, 2), number((final.value - random) / (beside.paper - random), 2),
        "ahead of its end" if math.isinf(beside.lag) else f"{beside.lag:.1f}", *in_hours,
    ]  # fmt: skip


def differs(curve: Curve) -> str:
    """How a run differs from the plain one."""
    told = {key: value for key, value in curve.overrides.items() if not key.startswith(("evaluation.", "optimizer."))}
    overrides = " ".join(f"{key}={value}" for key, value in told.items())
    threads = f"threads={curve.threads}" if curve.threads != 16 else ""
    plain = ("", "mnih2013", "virtual_time")
    return ", ".join(part for part in (overrides, curve.network, curve.execution, threads) if part not in plain) or "–"


def equal_frames(found: Sequence[Curve]) -> str:
    """Single evaluations after as many frames: of each run, with those of `first_runs`, beside the paper's curve."""
    first = [curve for curve in curves("laptop", "first_runs") if curve.env in PAPER_GAMES]
    rows: list[list[object]] = []
    for curve in ordered([*found, *first]):
        theirs = paper_curve(curve.env, curve.method, curve.threads)
        at = {epoch: curve.score_at(epoch) for epoch in EPOCHS_COMPARED}
        if all(math.isnan(score) for score in at.values()):
            continue
        cells = [
            number(value)
            for epoch, score in at.items()
            for value in (score, float(np.interp(epoch, theirs["epoch"], theirs["score"])))
        ]
        rows.append([TITLES[curve.env], METHODS[curve.method], differs(curve), curve.seed,
                     f"{curve.learning_rate:.4g}", *cells])  # fmt: skip
    header = ["game", "method", "what differs", "seed", "learning rate",
              *(cell for epoch in EPOCHS_COMPARED for cell in (f"after {epoch * 4}M frames", "the paper"))]  # fmt: skip
    return markdown(header, rows) if rows else ""


def five_games(found: Sequence[Curve]) -> str:
    """A3C's scores in the manner of Table S3, raw and human-normalised, a row per game and source."""
    others = figures.paper("other_reproductions_a3c").set_index("game")
    rows: list[list[str]] = []
    for game in PAPER_GAMES:
        curve = plain_run(found, game, "a3c")
        if curve and len(curve.table) >= LAST:
            frames = f"{curve.epochs * 4:.0f}M{'' if curve.finished else ', unfinished'}"
            which = "last three evaluations, one seed"
            rows.append([TITLES[game], OWN, curve.network, frames, *scored(game, curve.final.value, "noop", which)])
        for column, source, network, frames, starts, which in PUBLISHED:
            score = float(others.loc[game, column])
            rows.append([TITLES[game], source, network, frames, *scored(game, score, starts, which)])
        rows += by_frames(game)
    header = ["game", "source", "network", "frames", "starts", "which score", "score", "% of human"]
    return markdown(header, rows)


def by_frames(game: str) -> list[list[str]]:
    """Rows of the one published curve."""
    table = figures.paper("nnabla_rl_a2c").query("game == @game and frames in @SHOWN")
    which = "that evaluation, mean of 3 seeds"
    return [
        [
            TITLES[game],
            "nnabla-rl's A2C",
            "–",
            f"{row.frames // 10**6}M",
            *scored(game, np.mean(row[3:]), "noop", which),
        ]
        for row in table.itertuples(index=False)
    ]


def scored(game: str, score: float, starts: str, which: str) -> list[str]:
    """Cells of a score: the kind of starts, which score it is, the score, and it as per cent of a human's."""
    games = figures.paper("human_random_scores").set_index("game")
    random, human = (float(games.loc[game, f"{starts}_{who}"]) for who in ("random", "human"))
    return [STARTS[starts], which, f"{score:,.1f}", f"{human_normalised(score, random, human):,.0f}"]


def diagnostics(found: Sequence[Curve], scale: str) -> str:
    """Entropy, action frequencies and the share of g above ε of each run after 10, 20, 40 and 80M frames."""
    path = committed("atari_games", scale, "diagnostics.csv")
    if not path.exists():
        return ""
    by_run = dict(iter(pd.read_csv(path).groupby("run")))
    rows: list[list[object]] = []
    for curve in (curve for curve in ordered(found) if curve.run in by_run):
        start = [TITLES[curve.env], METHODS[curve.method], differs(curve), curve.seed, f"{curve.learning_rate:.4g}"]
        table = by_run[curve.run]
        for later in (table[table["frames"] >= frames] for frames in DIAGNOSED):
            if len(later):
                at = later.iloc[0]
                actions = ", ".join(f"{float(share):.2f}" for share in at["action_frequencies"].split())
                frames, share = f"{at['frames'] / 1e6:.0f}M", f"{at['share_above_epsilon']:.4%}"
                rows.append([*start, frames, number(at["entropy"], 2), actions, share])
    header = ["game", "method", "what differs", "seed", "learning rate", "frames", "entropy, nats",
              "action frequencies",
              "share of g > ε"]  # fmt: skip
    return markdown(header, rows) if rows else ""
