"""The gallery: a card for each agent in `agents/`, with its video."""

import html
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2

from a3crepro.agents import CARD, read_card
from a3crepro.common.errors import UserError
from a3crepro.experiments.figures import METHODS, TITLES
from builder.places import ROOT, raw

VIDEOS = ("*.mp4", "*.webm")
POSTER = "poster.png"


class Agent(NamedTuple):
    """A trained agent."""

    name: str
    directory: Path
    facts: dict[str, Any]
    video: Path | None


def agents(directory: Path = ROOT / "agents") -> list[Agent]:
    """All agents, by name.

    Raises:
      UserError: a card is damaged.
    """
    found = []
    for card in sorted(directory.glob(f"*/{CARD}")):
        videos = [file for pattern in VIDEOS for file in sorted(card.parent.glob(pattern))]
        found.append(Agent(card.parent.name, card.parent, read_card(card.parent), videos[0] if videos else None))
    return found


def poster(video: Path) -> bytes:
    """A frame of a video, some way into the episode, as PNG."""
    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // 4))
    whole, frame = capture.read()
    if not whole:
        raise UserError(f"{video}: it holds no frame")
    return cv2.imencode(".png", frame)[1].tobytes()


def name_of(env: str) -> str:
    """An environment's display name."""
    return TITLES.get(env.removeprefix("atari/"), env)


def card_of(agent: Agent) -> str:
    """The card of an agent."""
    facts = agent.facts
    method, game = METHODS.get(facts["algo"], facts["algo"]), name_of(facts["env"])
    title = f"{method} in {game}"
    deviation = f"{facts['score_mean']:.1f} ± {facts['score_std']:.1f}"
    rows = {
        "method": method,
        "environment": game,
        "frames": f"{facts['frames']:,}",
        "seed": facts["seed"],
        "score": f"{deviation}, mean and standard deviation of {facts['episodes']} episodes",
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{html.escape(str(value))}</dd></div>" for name, value in rows.items())
    shown = f"<p>{html.escape(title)}: no video was exported.</p>"
    if agent.video:
        url = f"agents/{agent.name}/{agent.video.name}"
        label = html.escape(f"{title}: an episode of median score, played by the trained agent")
        shown = (
            f'<video controls loop muted playsinline preload="metadata" poster="agents/{agent.name}/{POSTER}" '
            f'aria-label="{label}"><source src="{url}"><a href="{url}">{label}</a></video>'
        )
    return raw(f'<div class="agent">{shown}<dl>{items}</dl></div>')


def page() -> str:
    """The cards of all agents, each with the command that shows it playing."""
    parts = []
    for agent in agents():
        method = METHODS.get(agent.facts["algo"], agent.facts["algo"])
        title = f"## {method}, {name_of(agent.facts['env'])}"
        trained = f"Trained by:\n\n```bash\n{agent.facts['command']}\n```"
        watch = f"Watch it play:\n\n```bash\npython -m a3crepro.play agents/{agent.name}\n```"
        parts += [title.replace("Q*", r"Q\*"), card_of(agent), watch, trained]
    return "\n\n".join(parts) or "No agent has been exported yet."


def files_to_copy() -> Iterator[tuple[PurePosixPath, Path | bytes]]:
    """Videos and their posters."""
    for agent in agents():
        if agent.video:
            place = PurePosixPath("agents", agent.name)
            yield place / agent.video.name, agent.video
            yield place / POSTER, poster(agent.video)
