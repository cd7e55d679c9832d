"""Playing in a window."""

import os
import shutil
import subprocess
import sys

import pytest

from a3crepro.common.errors import UserError
from a3crepro.config import compose
from a3crepro.play import Window, main
from a3crepro.worlds.labyrinth import ACTIONS

HIDDEN = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
"""What tells pygame of a display."""


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("env=labyrinth", "play: there is no display to open a window on"),
        ("env=toy/catch", "env: toy/catch has no keyboard controls; to watch it, add policy=random"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(monkeypatch, capsys, word, line):
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["play", word])
    with pytest.raises(SystemExit) as ended:
        main()
    (message,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line in message


def test_without_pygame_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UserError, match=r'^play: needs pygame; pip install "a3crepro\[play\]"$'):
        Window("any")


@pytest.fixture
def screen():
    """A virtual screen's number."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb (Debian's xvfb)")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x800x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait()


PLAYED = """
import sys
from importlib.metadata import entry_points
from pathlib import Path
import pygame
from a3crepro import play

held, tapped, real = {held!r}, {tapped!r}, play.Window.show
shown = 0

class Keys:
    def __getitem__(self, code):
        return pygame.key.name(code) in held

def show(window, picture, caption, fps):
    global shown
    shown += 1
    if shown == 12:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
    for name in tapped if shown == 3 else ():
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(name)))
    keys = real(window, picture, caption, 1000.0)
    assert window.surface.get_size() == (1344, 672), window.surface.get_size()
    assert pygame.surfarray.array3d(window.surface).std() > 10
    return keys

pygame.key.get_pressed = Keys
play.Window.show = show
play.play_command({words!r})
print("shown", shown, pygame.display.get_init())
"""


@pytest.mark.parametrize(
    ("env", "held", "tapped"),
    [
        ("racing/slow_bots", ["up", "left"], []),
        pytest.param("racing/slow", [], ["up"], marks=pytest.mark.slow),
        pytest.param("labyrinth", [], [], marks=pytest.mark.slow),
    ],
)
def test_a_person_can_play_in_a_window(tmp_path, screen, env, held, tapped):
    hidden = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    environment = {**hidden, "DISPLAY": screen}
    code = PLAYED.format(held=held, tapped=tapped, words=[f"env={env}"])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    stopped, shown = done.stdout.splitlines()
    assert shown == "shown 12 False" and stopped.startswith("stopped at ")
    assert (float(stopped.split()[2]) > 0) == bool(held or tapped)  # nobody pressed a key, or the car drives


@pytest.mark.parametrize(
    ("env", "keys", "action"),
    [
        ("labyrinth", ["left", "up"], "look left"),
        ("labyrinth", ["a"], "strafe left"),
        ("labyrinth", [], None),
        ("racing/slow", ["up", "right"], 6),
        ("racing/slow", [], 4),
        ("breakout", ["right"], "RIGHT"),
        ("breakout", ["space", "right"], "RIGHT"),
        ("breakout", ["space"], "FIRE"),
        ("seaquest", ["space", "up", "left"], "UPLEFTFIRE"),
        ("minatar/breakout", ["right"], 3),
        ("minatar/breakout", ["space"], 0),
    ],
)
def test_what_keys_mean(env, keys, action):
    settings = compose(f"env={env}").env
    made = settings.make(training=False)
    pressed = settings.action_from_keys(made, frozenset(keys))
    if env == "labyrinth":
        pressed = None if pressed is None else ACTIONS[pressed]
    elif "racing" not in env:
        pressed = made.actions[pressed]
        pressed = getattr(pressed, "name", pressed)
    assert pressed == action
