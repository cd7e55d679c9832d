"""Files: whole rows, atomic writes."""

import errno

import pytest

import a3crepro.runs.checkout
import a3crepro.runs.checkpoint
import a3crepro.runs.manifest
import a3crepro.runs.run_directory
from a3crepro.runs.checkout import GitState
from a3crepro.runs.files import Table, write_atomically, write_text


def test_a_table_has_one_header_however_often_it_is_opened(tmp_path):
    for number in range(3):
        table = Table(tmp_path / "episodes.csv", ("frames", "score"))
        table.append({"frames": number, "score": 0.5})
        table.close()
    assert (tmp_path / "episodes.csv").read_text() == "frames,score\n0,0.5\n1,0.5\n2,0.5\n"


def test_a_table_drops_rows_past_a_checkpoint_and_a_row_that_is_incomplete(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("frames,score\n10,1\n30,3\n20,2\n21,2\n2")
    table = Table(path, ("frames", "score"))
    table.truncate(3)
    table.append({"frames": 25, "score": 4})
    table.close()
    assert path.read_text() == "frames,score\n10,1\n30,3\n20,2\n25,4\n"


def test_a_table_with_nothing_to_drop_stays_as_it_is(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("frames,score\n10,1\n")
    table = Table(path, ("frames", "score"))
    table.truncate(1)
    assert table.rows == 1
    table.truncate(5)
    table.close()
    assert path.read_text() == "frames,score\n10,1\n"


@pytest.mark.parametrize("written", [3, None], ids=["half a row", "nothing"])
def test_a_full_disk_leaves_no_half_row(tmp_path, written):
    table = Table(tmp_path / "episodes.csv", ("frames", "score"))
    table.append({"frames": 1, "score": 1})
    whole = table._file

    class Full:
        fileno = whole.fileno

        def write(self, data):
            if written is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return whole.write(data[:written])

    table._file = Full()
    with pytest.raises(OSError, match="No space left"):
        table.append({"frames": 22, "score": 2})
    table._file = whole
    table.append({"frames": 3, "score": 3})
    table.close()
    assert (tmp_path / "episodes.csv").read_text() == "frames,score\n1,1\n3,3\n"


def test_a_write_that_fails_in_the_middle_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "summary.json", "old")

    def fail(file):
        file.write(b"ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "summary.json", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == "old"


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch):
    """To ask git takes longer than most of these tests."""
    monkeypatch.setattr(a3crepro.runs.run_directory, "git_state", lambda: GitState(None, None))
