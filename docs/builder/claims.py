"""The page of claims: every rule is applied to the committed tables while the site is built."""

import functools
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from a3crepro.common.errors import UserError
from a3crepro.experiments.figures import Results, load_results
from a3crepro.experiments.results import RESULTS
from a3crepro.experiments.state import in_core_time, in_frames
from analysis._threads import LEGEND
from analysis._verdicts import DEFINITIONS, Outcome, Verdict
from analysis.claims import CLAIMS, Claim, comparisons
from builder.places import ROOT, title_of

DECIDING = "laptop"
"""The scale that decides, here as in `figures/claims.md`."""
SCALES = (DECIDING, "earlier")
"""The scales that are shown, the best first: `earlier` has the runs from before an experiment was last changed."""
SYMBOLS = {
    Outcome.REPRODUCED: "✓",
    Outcome.IN_PART: "◐",
    Outcome.NOT_REPRODUCED: "✗",
    Outcome.NOT_DECIDED: "?",
    Outcome.NOT_RUN: "–",
}
PAGE_NAME = re.compile(r"(figure|table)_s?\d")
WHERE = re.compile(r"(Fig|Table) (S?\d+)")


class Decided(NamedTuple):
    """A claim with its verdict, and what it rests on."""

    claim: Claim
    verdict: Verdict
    sweep: str
    earlier: Verdict | None
    """What earlier runs say, if the experiment was not run since it was changed; it decides nothing."""

    @property
    def shown(self) -> Verdict:
        """The verdict whose effect is shown."""
        return self.earlier or self.verdict


def best_scale(sweep: str) -> str:
    """The scale of the tables that stand for a sweep."""
    return next((scale for scale in SCALES if (RESULTS / sweep / scale / "runs.csv").exists()), SCALES[0])


@functools.cache
def tables(sweep: str) -> Results | None:
    """The tables that stand for a sweep; None if it was not run."""
    return load_results(sweep, best_scale(sweep))


def sweep_of(claim: Claim) -> str:
    """The sweep whose tables decide a claim.

    Raises:
      UserError: the rule does not say it.
    """
    sweep: str | None = getattr(claim.decide, "sweep", None)
    if sweep is None:
        raise UserError(f"claim {claim.text!r}: its rule needs of_sweep(…) or with_data(…) of analysis/_verdicts.py")
    return sweep


@functools.cache
def decided() -> tuple[Decided, ...]:
    """All claims, decided."""
    found = []
    for claim in CLAIMS:
        sweep = sweep_of(claim)
        scale = best_scale(sweep)
        earlier = None if scale == DECIDING else claim.decide(scale)
        found.append(Decided(claim, claim.decide(DECIDING), sweep, earlier))
    return tuple(found)


# ---- Text ------------------------------------------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Text without the special meaning that some characters have in Markdown, except within code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>|])", r"\\\1", part) for part in parts)


def sentence(text: str) -> str:
    """Text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def badge(outcome: Outcome) -> str:
    """An outcome in words and with a sign, on its colour."""
    return f"[{SYMBOLS[outcome]} {outcome}]{{.verdict .{str(outcome).replace(' ', '-')}}}"


def anchor(claim: Claim) -> str:
    """The anchor of a claim on the page."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", claim.text.lower()).strip("-")


def counts() -> str:
    """How many claims have which outcome."""
    rows = ["| verdict | claims |", "|---|---|"]
    outcomes = [each.verdict.outcome for each in decided()]
    rows += [f"| {badge(outcome)} | {outcomes.count(outcome)} |" for outcome in Outcome]
    return "\n".join(rows)


def overview() -> str:
    """A table with a row for each claim, which leads to its section."""
    rows = ["| claim | where | verdict |", "|---|---|---|"]
    for claim, verdict, *_ in decided():
        rows.append(
            f"| [{escaped(sentence(claim.text))}](#{anchor(claim)}) | {claim.where} | {badge(verdict.outcome)} |"
        )
    return "\n".join(rows)


@functools.cache
def pages() -> dict[str, str]:
    """The text of each page of an experiment, by file name."""
    return {file.name: file.read_text() for file in sorted((ROOT / "docs").glob("*.md")) if file.name != "README.md"}


def pages_of(claim: Claim, sweep: str) -> list[str]:
    """The pages about a claim: those of the figures that it names, and the one that runs its sweep."""
    named = [
        f"{kind.lower().replace('fig', 'figure')}_{number.lower()}_" for kind, number in WHERE.findall(claim.where)
    ]
    found = [name for name in pages() if any(name.startswith(start) for start in named)]
    command = f"python sweeps/{sweep}.py scale=laptop"
    runs = [name for name, text in pages().items() if command in text and name != "experiments.md"]
    return list(dict.fromkeys([*found, *sorted(runs, key=lambda name: not PAGE_NAME.match(name))[:1]]))


def link(page: str) -> str:
    """A link to a page, with its title."""
    return f"[{escaped(title_of(pages()[page]))}]({page})"


def cost(results: Results | None) -> str:
    """What the runs behind a claim took."""
    if results is None:
        return "not run yet"
    runs = results.runs
    missing = results.notes["planned"] - results.notes["runs"]
    left = f" ({missing} of {results.notes['planned']} runs missing)" if missing > 0 else ""
    return (
        f"{in_core_time(runs['core_seconds'].sum())} for {len(runs)} runs of {in_frames(runs['frames'].sum())} frames "
        f"in all{left}"
    )


def effects(verdict: Verdict) -> str:
    """The effect, an item for each part if it has several."""
    parts = [escaped(part) for part in verdict.effect.split("; ")]
    return parts[0] if len(parts) == 1 else "\n\n".join(f"- {part}" for part in parts).replace("\n\n", "\n  ")


def in_words(verdict: Verdict) -> str:
    """An outcome and its reason, without the badge of a decision."""
    reason = f" ({escaped(verdict.reason)})" if verdict.reason else ""
    return f"by the same rule, {verdict.outcome}{reason}"


def section(found: Decided) -> str:
    """Everything about one claim."""
    claim, verdict, sweep, earlier = found
    files = PurePosixPath("results", sweep)
    data = f"[tables of `{sweep}`]({files}.md)" if (ROOT / files).is_dir() else "none yet"
    reason = f" ({escaped(verdict.reason)})" if verdict.reason else ""
    effect, price = ("Effect in the earlier runs", "Cost of the earlier runs") if earlier else ("Effect", "Cost")
    before = f"\n\nEarlier runs, which decide nothing\n: {in_words(earlier)}" if earlier else ""
    return f"""({anchor(claim)})=
## {escaped(sentence(claim.text))}

{badge(verdict.outcome)}{reason}{before}

Where
: {claim.where} of the paper; here: {", ".join(link(page) for page in pages_of(claim, sweep))}

Decided by
: {escaped(claim.rule)}

{effect}, with 95 % intervals
: {effects(found.shown)}

Data
: {data}

{price}
: {cost(tables(sweep))}

```bash
python sweeps/{sweep}.py scale=laptop hydra/launcher=local
python analysis/collect.py {sweep}
python analysis/claims.py
```
"""


def what_was_run(sweeps: Iterable[str]) -> str:
    """A line on the runs of each sweep."""
    known = {sweep: results for sweep in sweeps if (results := tables(sweep))}
    return "\n".join(f"- `{sweep}`: {escaped(results.caption())}" for sweep, results in known.items())


def page() -> str:
    """The generated part of the page."""
    verdicts = {each.claim: each.verdict for each in decided()}
    sweeps = dict.fromkeys(each.sweep for each in decided())
    parts = [
        DEFINITIONS.rstrip(),
        overview(),
        comparisons(verdicts),
        f"Speed-ups and data efficiency. {LEGEND}",
        *map(section, decided()),
        "## What was run\n\n" + what_was_run(sweeps),
        "Rules that replaced others are on [a page of their own](rules.md).",
    ]
    return "\n\n".join(parts)
