"""Kernels are compiled once; a damaged or unsafe cache is not used."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import pytest

from a3crepro.common.processes import PARENT

SOURCE = """
from a3crepro.common.kernels import kernel

@kernel("float64(float64)", "int64(int64)")
def double(x):
    return 2 * x
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "loops.py"
    path.write_text(SOURCE)
    return path


def defined(path):
    """The kernel, as a process that imports the module gets it."""
    spec = importlib.util.spec_from_file_location("loops", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.double(1.5), module.double(4)) == (3.0, 8)
    return module.double


def loads(kernel):
    """Number of signatures that were loaded from the cache instead of compiled."""
    return sum(kernel.stats.cache_hits.values())


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[::-1]],
                         ids=["half", "empty", "reversed"])  # fmt: skip
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_cache_is_compiled_again(source, kind, damage):
    assert loads(defined(source)) == 0
    assert loads(defined(source)) == 2
    for path in source.parent.rglob(f"*.{kind}"):
        path.write_bytes(damage(path.read_bytes()))
    defined(source)
    assert loads(defined(source)) == 2


def test_a_second_process_compiles_the_same_kernels(source, monkeypatch):
    program = (
        f"import sys; sys.path.insert(0, {str(source.parent)!r}); from a3crepro.common import kernels; "
        "kernels.MODULES = ('loops',); kernels.help_to_compile()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, PARENT: str(os.getpid())})
    monkeypatch.syspath_prepend(source.parent)
    assert loads(defined(source)) == 2


def test_compiling_is_told_and_leaves_no_process(source):
    (source.parent / "others.py").write_text(SOURCE)
    program = (
        f"import sys; sys.path.insert(0, {str(source.parent)!r}); from a3crepro.common import kernels; "
        "kernels.MODULES = ('loops', 'others'); kernels.compile_all(); print([h.poll() for h in kernels._helpers])"
    )
    environment = {name: value for name, value in os.environ.items() if name != PARENT}
    lines = []
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        lines.append(run.stdout.splitlines())
    assert lines[0][0].startswith("compiling for this machine") and lines[0][1] != "[None]"
    assert lines[1] == ["[]"]


@pytest.fixture
def no_cache_directory(source, monkeypatch):
    """Numba finds no directory for its cache; only one for temporary files is left."""
    wall = source.parent / "file"
    for path in (wall, source.parent / "__pycache__"):
        path.touch()
    for name in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, str(wall))
    temporary = source.parent / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield temporary / f"a3crepro-{os.getuid()}"
    monkeypatch.undo()
    numba.config.reload_config()


def test_without_a_cache_directory_the_cache_is_among_the_temporary_files(source, no_cache_directory):
    assert loads(defined(source)) == 0
    assert loads(defined(source)) == 2
    assert os.environ["NUMBA_CACHE_DIR"] == str(no_cache_directory)  # where the fork server looks
    assert no_cache_directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["a directory that others may write to", "a link"])
def test_a_cache_that_other_users_may_write_to_is_not_used(source, no_cache_directory, kind):
    elsewhere = Path(tempfile.gettempdir()) / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if kind == "a link":
        no_cache_directory.symlink_to(elsewhere)
    else:
        no_cache_directory.mkdir()
        no_cache_directory.chmod(0o777)
    defined(source)
    assert loads(defined(source)) == 0
    assert not [path for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file()]


def test_all_kernels_of_the_networks_are_loaded_from_the_cache():
    program = (
        "from a3crepro.models.fast import kernels, structs\n"
        "made = [s.make for s in vars(structs).values() if hasattr(s, 'make') and s is not structs.Struct]\n"
        "found = [k for k in [*made, *vars(kernels).values()] if hasattr(k, 'stats') and k.stats.cache_path]\n"
        "print(len(made), sum(sum(k.stats.cache_misses.values()) for k in found))"
    )
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["7", "0"]
