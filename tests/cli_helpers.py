"""Commands for several test files."""

NOTHING = ("env=toy/catch", "frames=0", "evaluation.episodes=0", "logging.tensorboard=false")
"""A job that is done as soon as it is begun."""


def is_one_line(text, *parts):
    return text.count("\n") == 1 and text.endswith("\n") and all(part in text for part in parts)


def directories(root):
    return {path.parent.relative_to(root).as_posix() for path in root.rglob("config.yaml")}
