"""`python -m a3crepro.evaluate`: scores a trained policy or a reference policy, and records its best episode.

  python -m a3crepro.evaluate RUN_DIR|agents/NAME [which=last|best] [episodes=30] [seed=…] [video=FILE] [overrides]
  python -m a3crepro.evaluate env=… policy=random|constant|blind|expert [episodes=30] [seed=…] [video=FILE] [overrides]

Prints the score of each episode on a line, and one JSON object as its last line. `video=` records the best of these
episodes by playing it again. `which=best` takes the parameters of the run's evaluation with the highest mean score
instead of the last ones. Overrides (`algo.evaluation_policy=greedy`, `evaluation.max_frames=…`,
`env.repeat_action_probability=0.25`) change how the policy is evaluated, not what is stored.

Reference policies: `random` draws actions uniformly; `constant` takes the action `action=` (default 0) in every state,
for continuous actions in each component, with normal noise of the standard deviation `noise=`; `blind`, in the
labyrinth, is an observation-independent baseline, which walks straight on and turns at walls; `expert` is a scripted
policy that sees the true state.
"""

import json
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from a3crepro.common.errors import UserError
from a3crepro.common.processes import set_up_arithmetic
from a3crepro.config import Config, compose, dotted_items, suggested_key
from a3crepro.runs.arguments import Key, one_of, own_arguments, refuse_options, whole_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.evaluation import EvaluationResult, InfoSums, episode_rng, evaluate
from a3crepro.runs.policies import (
    POLICY_KEYS,
    WHICH,
    EvaluationPolicy,
    policy_with_overrides,
    reference_policy,
    refuse_policy_keys,
)
from a3crepro.runs.video import check_rendering, record_video, video_path

USAGE = (
    "usage: python -m a3crepro.evaluate RUN_DIR|env=… policy=random|constant|blind|expert [episodes=30] [seed=…] "
    "[video=FILE] [overrides]"
)
KEYS = {"episodes": whole_number(1, default=30), "seed": whole_number(0), "video": Key(video_path),
        "which": one_of(WHICH, "last"), **POLICY_KEYS}  # fmt: skip


def main() -> None:
    """Evaluates a policy."""
    run_command(lambda: evaluate_command(sys.argv[1:]), __doc__, needs_arguments=True)


def evaluate_command(arguments: Sequence[str]) -> None:
    """Prints the scores and records a video."""
    directory, others = split_directory(arguments, KEYS)
    own, overrides = own_arguments(others, KEYS)
    _check_keys(overrides)
    config, policy, frames = _selected_policy(directory, overrides, own)
    set_up_arithmetic()
    if own.video is not None:
        check_rendering(config)
    seed = config.seed if own.seed is None else own.seed
    scores, sums = [], InfoSums(config)
    for score in evaluate(config, policy, seed, frames, own.episodes, sums):
        scores.append(score)
        print(f"{score:g}", flush=True)
    try:
        if own.video is not None:
            best = int(np.argmax(scores))
            if record_video(config, policy, episode_rng(seed, frames, best), own.video) != scores[best]:
                print(
                    f"{own.video}: another episode than the one that scored {scores[best]:g}: {config.env.title} does "
                    "not repeat its episodes"
                )
    finally:
        summary = EvaluationResult(frames, scores).summary()
        about = {"env": config.env.title, "frames": frames, "seed": seed, "episodes": own.episodes}
        print(json.dumps({**about, **summary, **sums.per_episode(own.episodes)}))


def _check_keys(overrides: Sequence[str]) -> None:
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] not in Config.model_fields:
            suggestion = suggested_key(key, [known for known, _ in dotted_items(compose().model_dump())])
            hint = f"did you mean {suggestion}? " if suggestion else ""
            raise UserError(f"{key}: unknown key; {hint}allowed: {', '.join(KEYS)}, and the keys of the configuration")


def _selected_policy(
    directory: Path | None, overrides: list[str], own: SimpleNamespace
) -> tuple[Config, EvaluationPolicy, int]:
    """The configuration, the policy, and the frames that it was trained for."""
    if directory is not None:
        refuse_policy_keys(own)
        return policy_with_overrides(directory, overrides, own.which)
    if own.which != "last":
        raise UserError(f"which: only valid with a run directory; {USAGE}")
    if not any(override.startswith("env=") for override in overrides):
        raise UserError(f"env: missing; {USAGE}")
    config = compose(*overrides)
    return config, reference_policy(config, own), 0


def split_directory(arguments: Sequence[str], keys: Container[str]) -> tuple[Path | None, list[str]]:
    """Splits the directory of a run or an agent, of which there may be one, from the other arguments."""
    refuse_options(arguments)
    directories = [word for word in arguments if _is_directory(word, keys)]
    if len(directories) > 1:
        raise UserError(f"one directory at a time, not {' and '.join(directories)}")
    return Path(directories[0]) if directories else None, [word for word in arguments if word not in directories]


def _is_directory(word: str, keys: Container[str]) -> bool:
    """Whether a word is a path, which may contain `=`; a word that begins with a key and `=` never is."""
    before, equals, _ = word.partition("=")
    is_key = before in keys or before.lstrip("+~").partition(".")[0] in Config.model_fields
    return "/" in before or not equals or (not is_key and Path(word).is_dir())


if __name__ == "__main__":
    main()
