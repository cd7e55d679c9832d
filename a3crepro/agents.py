"""`python -m a3crepro.agents`: exports a trained agent from a run, and repeats the evaluation on its card.

  python -m a3crepro.agents RUN_DIR agents/NAME [which=last|best] [episodes=100] [seed=1_000_000] [video=true]
  python -m a3crepro.agents agents/NAME

The agent is a directory with the parameters (safetensors), the resolved configuration, a card and a video. It is
evaluated with held-out seeds; the video shows the episode of median score. `evaluate`, `play` and `load_policy` accept
an agent like a run. Loading an agent executes nothing that is stored in it.

The second command says whether the scores are those of the card. On the same kind of processor they repeat exactly; on
another, where single episodes may differ, their mean is compared (Welch's t-test).
"""

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save
from scipy.stats import ttest_ind_from_stats

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.processes import set_up_arithmetic
from a3crepro.runs.arguments import boolean, one_of, own_arguments, paths, whole_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.evaluation import EvaluationResult, episode_rng, evaluate
from a3crepro.runs.files import trying, write_atomically, write_text
from a3crepro.runs.manifest import attempts_of, commits_of, cpus_of
from a3crepro.runs.policies import PARAMETERS, WHICH, NetworkPolicy, StoredPolicy, stored_policy
from a3crepro.runs.video import check_rendering, record_video

CARD = "README.md"
VIDEO = "episode.webm"
NEW_VIDEO = "new_episode.webm"
"""Until it is whole, and the card of an earlier export is gone."""
SIGNIFICANCE = 0.001
"""The probability by chance below which a difference between means is one of the agent."""
OWN = "a3crepro"
"""The package whose version an installation only knows roughly; the commit is exact."""
SEED = 1_000_000
"""Default seed of the episodes in which an agent is scored."""
KEYS = {"episodes": whole_number(1, default=100), "seed": whole_number(0, default=SEED),
        "video": boolean(True), "which": one_of(WHICH, "last")}  # fmt: skip


def export(stored: StoredPolicy, attempts: Sequence[Mapping[str, Any]], agent: Path, card: Mapping[str, Any]) -> None:
    """Writes an agent's directory; the card last, so that an agent with a card is complete.

    Args:
      stored: the policy, as it was evaluated; the run may have trained on since.
      attempts: the run's, from its manifest.
      agent: the agent's directory, which exists.
      card: facts for the card besides those in the manifest.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in stored.snapshot._asdict().items() if array.size}
    data = save(arrays, metadata={"frames": str(stored.frames)})
    write_atomically(agent / PARAMETERS, lambda file: file.write(data))
    write_text(agent / "config.yaml", yaml.safe_dump(stored.config.model_dump(), sort_keys=False))
    facts = {
        "env": stored.config.env.title,
        "algo": stored.config.algo.name,
        "network": stored.config.network.title,
        "frames": stored.frames,
        "seed": stored.config.seed,
        **card,
        "command": shlex.join(attempts[-1]["command"]),
        "commit": commits_of(attempts),
        "date": attempts[0]["date"],
        "versions": {name: version for name, version in attempts[0]["packages"].items() if version and name != OWN},
        "cpu": cpus_of(attempts) or None,
        "licence": "MIT",
    }
    write_text(agent / CARD, card_text(agent, facts))


def card_text(agent: Path, facts: Mapping[str, Any]) -> str:
    """The Markdown of a card: the facts as YAML front matter, then a few sentences."""
    path = shlex.quote(str(agent))
    front = yaml.safe_dump(
        {key: fact for key, fact in facts.items() if fact is not None}, sort_keys=False, allow_unicode=True
    )
    held_out = ", with held-out seeds" if facts["evaluation_seed"] >= SEED else ""
    return f"""---
{front}---

# {agent.name}

Trained by `{facts["command"]}` for {facts["frames"]:,} frames. Mean score of {facts["episodes"]} episodes:
**{facts["score_mean"]:.1f}** (standard deviation {facts["score_std"]:.1f}){held_out}.

```
python -m a3crepro.evaluate {path} episodes={facts["episodes"]} seed={facts["evaluation_seed"]}
python -m a3crepro.play {path}
```

`python -m a3crepro.agents {path}` repeats this evaluation: exactly on the same kind of processor; on another,
single episodes may differ, but not their distribution.
"""


def main() -> None:
    """Exports an agent."""
    run_command(lambda: export_command(sys.argv[1:]), __doc__, needs_arguments=True)


def export_command(arguments: list[str]) -> None:
    """Evaluates a run's policy, and writes the agent and its video."""
    own, others = own_arguments(arguments, KEYS)
    directories = paths(others, KEYS)
    if len(directories) == len(arguments) == 1:
        return repeat(*directories)
    if len(directories) != 2:
        got = " ".join(arguments)
        raise UserError(f"expected a run's directory and an agent's, or an agent's alone, got {got!r}; see --help")
    run, agent = directories
    check_directories(run, agent)
    set_up_arithmetic()
    stored, attempts = stored_policy(run, own.which), attempts_of(run)
    if own.video:
        check_rendering(stored.config)
    scores, summary = scored(stored, own.seed, own.episodes)
    agent.mkdir(parents=True, exist_ok=True)
    video = agent / NEW_VIDEO
    if own.video:
        typical = int(np.argsort(scores, kind="stable")[(own.episodes - 1) // 2])
        rng = episode_rng(own.seed, stored.frames, typical)
        record_video(stored.config, NetworkPolicy(stored.config, stored.snapshot), rng, video)
    for name in (CARD, VIDEO):  # of an earlier export
        (agent / name).unlink(missing_ok=True)
    if own.video:
        video.rename(agent / VIDEO)
    export(stored, attempts, agent, {**summary, "evaluation_seed": own.seed})
    print(json.dumps({"agent": str(agent), **summary}))


def check_directories(run: Path, agent: Path) -> None:
    """Refuses to export an agent as a run, or into a directory that holds something else, with a `UserError`."""
    if (agent / "manifest.json").exists():
        raise UserError(f"{agent} is the directory of a run; give another one for the agent")
    if (run / PARAMETERS).exists():
        raise UserError(f"{run} is an agent already; give the directory of a run")
    if agent.exists() and not agent.is_dir():
        raise UserError(f"{agent} is not a directory")
    there = {path.name for path in agent.iterdir()} if agent.is_dir() else set()
    if there - {VIDEO, NEW_VIDEO} and PARAMETERS not in there:  # a killed export may leave a video alone
        raise UserError(f"{agent} holds files that are not an agent's; give a new directory")


def scored(stored: StoredPolicy, seed: int, episodes: int) -> tuple[list[float], dict[str, Any]]:
    """The scores of a policy in these episodes, and their summary."""
    config, snapshot, frames = stored
    scores = list(evaluate(config, NetworkPolicy(config, snapshot), seed, frames, episodes))
    return scores, EvaluationResult(frames, scores).summary()


def repeat(agent: Path) -> None:
    """Repeats the evaluation on an agent's card.

    Raises:
      UserError: the directory is not an agent's, or its card is damaged.
      RunError: the mean differs from the card's by more than chance makes likely.
    """
    stored, card = stored_policy(agent), read_card(agent)
    set_up_arithmetic()
    _, found = scored(stored, card["evaluation_seed"], card["episodes"])
    exact = all(math.isclose(found[key], card[key], rel_tol=1e-9, abs_tol=1e-9) for key in ("score_mean", "score_std"))
    numbers = (each[key] for each in (card, found) for key in ("score_mean", "score_std", "episodes"))
    p = 1.0 if exact else float(ttest_ind_from_stats(*numbers, equal_var=False).pvalue)
    print(json.dumps({"agent": str(agent), **found, "card_score_mean": card["score_mean"], "exact": exact, "p": p}))
    if not p >= SIGNIFICANCE:
        raise RunError(f"{agent}: the mean score is {found['score_mean']:g}, on its card {card['score_mean']:g}")


NUMBERS = ("score_mean", "score_std", "episodes", "evaluation_seed", "frames")
"""Facts that every card has; the first two may be fractions."""


def read_card(agent: Path) -> dict[str, Any]:
    """The facts on an agent's card.

    Raises:
      UserError: there is no card, or one of its `NUMBERS` is missing.
    """
    path = agent / CARD
    if not path.is_file():
        raise UserError(f"{path} does not exist: {agent} is not an agent's directory")
    with trying("read", path):
        parts = path.read_text("utf-8", errors="replace").split("---\n")
    try:
        facts = yaml.safe_load(parts[1]) if len(parts) > 2 else None
    except yaml.YAMLError:
        facts = None
    if not isinstance(facts, dict):
        raise UserError(f"{path} is not an agent card: it has no facts between two lines of ---")
    for key in NUMBERS:
        allowed = (int, float) if key.startswith("score") else int
        if not isinstance(facts.get(key), allowed):
            raise UserError(f"{path} is not an agent card: {key} should be a number, got {facts.get(key)!r}")
    return facts


if __name__ == "__main__":
    main()
