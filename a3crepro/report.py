"""`python -m a3crepro.report`: a web page on one run, or on several side by side.

  python -m a3crepro.report RUN_DIR... [output=FILE] [open=true] [video=true]

The page is one self-contained HTML file: scores, losses, exploration, gradients and speed over frames and over time,
the configuration (of several runs, the keys that differ), and the run's video, if its directory holds one. By default
it is RUN_DIR/report.html, or report.html here for several runs. It can be made while a run goes on. `open=true` opens
it in a browser; `video=true` plays an episode with the last checkpoint of each run, and shows its video.
"""

import contextlib
import io
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from a3crepro.common.errors import RunError, UserError
from a3crepro.common.processes import set_up_arithmetic
from a3crepro.reports.page import Clip, page_of
from a3crepro.reports.records import Record, labels_of, read_record
from a3crepro.runs.arguments import Key, boolean, own_arguments, paths
from a3crepro.runs.command_line import run_command
from a3crepro.runs.evaluation import episode_rng
from a3crepro.runs.files import write_text
from a3crepro.runs.policies import NetworkPolicy, stored_policy
from a3crepro.runs.video import CODECS, as_webm, record_video

PAGE = "report.html"
MAX_VIDEO_FRAMES = 18_000
"""Environment frames of an episode that is recorded for a report; the rest is cut off."""


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".html", ".htm"):
        raise ValueError(f"should end in .html, got {text!r}")
    if not path.parent.is_dir():
        raise ValueError(f"there is no directory {path.parent}")
    return path


KEYS = {"output": Key(_output), "open": boolean(False), "video": boolean(False)}


def main() -> None:
    """Writes a report."""
    run_command(lambda: report_command(sys.argv[1:]), __doc__, needs_arguments=True)


def report_command(arguments: Sequence[str]) -> None:
    """Reads the runs and writes the page."""
    own, others = own_arguments(arguments, KEYS)
    directories = paths(others, KEYS)
    if not directories:
        raise UserError("RUN_DIR: missing; see --help")
    records = [read_record(directory) for directory in dict.fromkeys(directories)]
    labels = labels_of(records)
    clips = []
    for record, label in zip(records, labels, strict=True):
        if clip := _clip(record, label, own.video):
            clips.append(clip)
    path = own.output or (records[0].directory if len(records) == 1 else Path()) / PAGE
    write_text(path, page_of(records, labels, clips))
    print(path, flush=True)
    if own.open:
        webbrowser.open(path.absolute().as_uri())


def _clip(record: Record, label: str, recorded: bool) -> Clip | None:
    """The video in a run's directory, or, if it should be recorded, of an episode now; a problem becomes a note."""
    found = [path for path in record.directory.glob("[!.]*") if path.suffix in CODECS]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "video.webm"
        try:
            if recorded:
                return Clip(label, _record(record, path), path.read_bytes())
            if not found:
                return None
            newest = max(found, key=lambda each: each.stat().st_mtime)
            as_webm(newest, path)
            return Clip(label, newest.name, path.read_bytes())
        except (UserError, RunError, OSError, ValueError) as error:
            record.notes.append(f"no video: {' '.join(str(error).split())}")
            return None


def _record(record: Record, path: Path) -> str:
    """Records an episode with the last checkpoint of a run, played as in its evaluations; returns its caption."""
    set_up_arithmetic()
    config, snapshot, frames = stored_policy(record.directory)
    limit = min(config.evaluation.max_frames, MAX_VIDEO_FRAMES)
    shown = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"max_frames": limit})})
    with contextlib.redirect_stdout(io.StringIO()):  # the file is temporary
        score = record_video(shown, NetworkPolicy(config, snapshot), episode_rng(config.seed, frames, 0), path)
    return f"an episode after {frames:,} frames of training, score {score:g}"


if __name__ == "__main__":
    main()
