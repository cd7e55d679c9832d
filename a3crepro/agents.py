"""Trained agents: `agents/NAME` holds parameters (safetensors), the resolved configuration, a card and a video.

  python -m a3crepro.agents RUN_DIR agents/NAME [episodes=100] [seed=1_000_000] [video=true]

exports the last parameters of a run, finished or interrupted, scores them in episodes whose seed had no part in
training or choosing, and films the one of median score. `evaluate`, `play` and `load_policy` take an agent as they take
a run. Nothing that is stored is executed on loading.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save

from a3crepro.common.processes import set_up_arithmetic
from a3crepro.common.settings import UserError
from a3crepro.runs.arguments import one_of, own_arguments, whole_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.evaluation import EvaluationResult, episode_rng, evaluate
from a3crepro.runs.files import write_atomically, write_text
from a3crepro.runs.manifest import attempts_of
from a3crepro.runs.policies import NetworkPolicy
from a3crepro.runs.stored_policy import PARAMETERS, stored_policy
from a3crepro.runs.video import record_video

CARD = "README.md"
VIDEO = "episode.mp4"
SEED = 1_000_000
"""Default seed of the episodes in which an agent is scored."""
KEYS = {"episodes": whole_number(1, default=100), "seed": whole_number(0, default=SEED),
        "video": one_of(("true", "false"), "true")}  # fmt: skip


def export(run: Path, agent: Path, card: Mapping[str, Any]) -> None:
    """Writes an agent's directory from a run's; the card last, so that what has one is whole.

    Args:
      run: its directory.
      agent: made if it is not there.
      card: what the agent's card says beside what the run's manifest tells.

    Raises:
      UserError: the run has no checkpoint yet.
      RunError: no checkpoint in it is whole.
    """
    stored, starts = stored_policy(run), attempts_of(run)
    agent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in stored.learnt._asdict().items() if array.size}
    data = save(arrays, metadata={"frames": str(stored.frames)})
    write_atomically(agent / PARAMETERS, lambda file: file.write(data))
    write_text(agent / "config.yaml", yaml.safe_dump(stored.config.plain(), sort_keys=False))
    facts = {
        "env": stored.config.env.title,
        "algo": stored.config.algo.name,
        "network": stored.config.network.title,
        "frames": stored.frames,
        "seed": stored.config.seed,
        **card,
        "command": shlex.join(starts[-1]["command"]),
        "commit": starts[0]["git_commit"],
        "date": starts[0]["date"],
        "versions": {name: version for name, version in starts[0]["packages"].items() if version},
        "licence": "MIT",
    }
    write_text(agent / CARD, card_text(agent.name, facts))


def card_text(name: str, facts: Mapping[str, Any]) -> str:
    """A card: the facts as YAML between two lines of dashes, then a few sentences."""
    front = yaml.safe_dump(dict(facts), sort_keys=False, allow_unicode=True)
    return f"""---
{front}---

# {name}

Trained by `{facts["command"]}` for {facts["frames"]:,} frames. Mean score of {facts["episodes"]} episodes:
**{facts["score_mean"]:.1f}** (standard deviation {facts["score_std"]:.1f}), with seeds that had no part in training.

```
python -m a3crepro.evaluate agents/{name} episodes={facts["episodes"]} seed={facts["evaluation_seed"]}
python -m a3crepro.play agents/{name}
```

The same processor gives the same scores; on another kind single games may differ, their distribution does not.
"""


def read_card(agent: Path) -> dict[str, Any]:
    """The facts of an agent's card.

    Raises:
      UserError: it has none.
    """
    try:
        _, front, _ = (agent / CARD).read_text().split("---\n", 2)
        facts: dict[str, Any] = yaml.safe_load(front)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{agent} is no agent's directory: no card in {CARD}") from error
    return facts


def main() -> None:
    """Exports as the command line says."""
    run_command(lambda: export_command(sys.argv[1:]), __doc__, needs_words=True)


def export_command(arguments: list[str]) -> None:
    """Scores a run's last parameters, writes the agent, films it.

    Raises:
      UserError: a mistake in the command; the line names the key.
    """
    own, paths = own_arguments(arguments, KEYS)
    if len(paths) != 2:
        raise UserError(f"expected a run's directory and an agent's, got {len(paths)} words; see --help")
    run, agent = map(Path, paths)
    episodes, seed = own.episodes, own.seed
    set_up_arithmetic()
    config, what, frames = stored_policy(run)
    policy = NetworkPolicy(config, what)
    scores = list(evaluate(config, policy, seed, frames, episodes))
    summary = EvaluationResult(frames, scores).summary()
    export(run, agent, {**summary, "evaluation_seed": seed})
    if own.video == "true":
        typical = int(np.argsort(scores, kind="stable")[(episodes - 1) // 2])
        record_video(config, policy, episode_rng(seed, frames, typical), agent / VIDEO)
    print(json.dumps({"agent": str(agent), **summary}))


if __name__ == "__main__":
    main()
