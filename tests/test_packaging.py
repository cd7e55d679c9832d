"""The wheel: its files, its dependencies, its version, and that it works where nothing else is."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from cli_helpers import is_one_line
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from helpers import SMALL, summary

from a3crepro import compose
from a3crepro.runs.training import initial_state

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A directory of packages with nothing but the wheel."""
    directory = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def tracked(*directories):
    """Files of a checkout, apart from what Python or an editor leaves there."""
    found = (path for name in directories for path in (ROOT / name).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in found if path.suffix in (".py", ".yaml", ".css")}


def test_the_wheel_has_the_code_the_configuration_and_the_plugins(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    conf = {f"a3crepro/{name}" for name in tracked("conf")}
    assert names == tracked("a3crepro", "hydra_plugins") | conf
    assert len(conf) > 200 and "a3crepro/conf/hydra/sweeper/optuna.yaml" in names


def imports(path):
    """Modules that a file imports anywhere, but for those that it does without."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def test_whatever_the_wheel_imports_is_in_it_or_among_its_dependencies(site):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(word for extra in extras if extra != "dev" for word in extras[extra])]
    declared = {canonical(re.match(r"[\w.-]+", word)[0]) for word in wanted}
    installed = importlib.metadata.packages_distributions()
    for path in site.rglob("*.py"):
        for module in imports(path):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top == "__future__":
                continue
            if top in ("a3crepro", "hydra_plugins"):
                file = site / module.replace(".", "/")
                inside = file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()
                assert inside or module.startswith("hydra_plugins.hydra_joblib"), f"{path.name} imports {module}"
                continue
            homes = {canonical(name) for name in installed.get(top, ())} or {canonical(top)}  # not installed
            assert homes & declared, f"{path.name} imports {module}, of {homes}"


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_extras_and_versions_have_upper_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [word for name, words in project["optional-dependencies"].items() if name != "dev" for word in words]
    words = [word.partition(";")[0] for word in (*project["dependencies"], *extras) if not word.startswith("a3crepro[")]
    assert len(words) > 20
    assert all(re.search(r">=[\d.]+,<\d|==[\d.]+\*", word) for word in words), words


# ---- Versions --------------------------------------------------------------------------------------------------------


def git(root, *words):
    who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    return root


def version_of(root):
    return ProjectMetadata(str(root), PluginManager()).version


def test_the_version_is_that_of_the_last_tag(project):
    assert version_of(project) == "0.1.dev0"  # an archive: neither git nor an sdist
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "first")
    assert re.fullmatch(r"0\.1\.dev1\+g[0-9a-f]+(\.d\d+)?", version_of(project))  # a clone without tags
    git(project, "tag", "v0.3.1")
    assert version_of(project) == "0.3.1"
    git(project, "commit", "--quiet", "--allow-empty", "-m", "second")
    assert re.fullmatch(r"0\.3\.2\.dev1\+g[0-9a-f]+", version_of(project))


def test_the_version_can_be_given_where_there_is_no_git(project, monkeypatch):
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "0.4.0")  # as in the Dockerfile
    assert version_of(project) == "0.4.0"
    assert "SETUPTOOLS_SCM_PRETEND_VERSION" in (ROOT / "Dockerfile").read_text()


# ---- Shared memory ---------------------------------------------------------------------------------------------------


def test_the_page_has_the_shared_memory_that_runs_take():
    text = (ROOT / "docs" / "install.md").read_text()
    (start,) = (place for place, line in enumerate(text.splitlines()) if line.startswith("| MiB"))
    header, _, *rows = [line.split("|")[1:-1] for line in text.splitlines()[start : start + 8]]
    threads = [int(cell.split()[0]) for cell in header[1:]]
    assert threads == [1, 4, 16, 64] and len(rows) == 6
    for name, *cells in rows:
        override = name.split("`")[1]
        shared = [initial_state(compose("env=breakout", override, f"threads={count}")).nbytes for count in threads]
        assert [float(cell) for cell in cells] == [round(size / 2**20, 1) for size in shared], override


# ---- Installed -------------------------------------------------------------------------------------------------------


UNCOMPILED = {"NUMBA_DISABLE_JIT": "1"}
"""Saves the time in which kernels are compiled for another directory."""


def run(site, cwd, *words, command=("-m", "a3crepro"), **environment):
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run([sys.executable, *command, *words], cwd=cwd, env=env, capture_output=True, text=True)


def test_the_wheel_finds_its_configuration_and_its_plugins_from_any_directory(site, tmp_path):
    program = (
        "from a3crepro.config import compose, conf_directory; from hydra.core.plugins import Plugins; "
        "Plugins.instance(); import hydra_plugins.a3crepro_sweepers as plugins; import a3crepro; "
        "compose('env=pong'); print(conf_directory(), plugins.__file__, a3crepro.__version__, sep='\\n')"
    )
    done = run(site, tmp_path, command=("-c", program), **UNCOMPILED)
    conf, plugins, version = done.stdout.splitlines()
    assert Path(conf) == site / "a3crepro" / "conf" and Path(plugins).is_relative_to(site), done.stderr
    assert version == importlib.metadata.Distribution.at(next(site.glob("*.dist-info"))).version


def test_what_only_a_checkout_has_is_told_in_a_line(site, tmp_path):
    program = (
        "from a3crepro.experiments.figures import load_results; from a3crepro.runs.command_line import run_command; "
        "run_command(lambda: load_results('racing', 'laptop'))"
    )
    done = run(site, tmp_path, command=("-c", program), **UNCOMPILED)
    assert done.returncode == 2
    assert is_one_line(done.stderr, "committed tables, sweeps and analysis need a checkout"), done.stderr


@pytest.mark.slow
def test_the_wheel_s_commands_work_and_write_nothing_but_numba_s_cache(site, tmp_path):
    before = {path for path in site.rglob("*") if path.is_file()}
    work = tmp_path / "anywhere"
    work.mkdir()
    training = run(site, work, *SMALL, "frames=200")
    assert training.returncode == 0, training.stderr
    assert summary(work / "run")["frames"] >= 200
    commands = {
        "evaluate": ("run", "episodes=2", "video=best.mp4"),
        "agents": ("run", "agents/mine", "episodes=2"),
        "benchmark": ("env=toy/catch", "threads=1", "seconds=1"),
        "play": ("env=toy/catch", "policy=random"),
    }
    results = {name: run(site, work, *words, command=("-m", f"a3crepro.{name}")) for name, words in commands.items()}
    assert json.loads(results["evaluate"].stdout.splitlines()[-1])["episodes"] == 2
    assert (work / "best.mp4").stat().st_size > 0 and (work / "agents" / "mine" / "README.md").exists()
    assert json.loads(results["benchmark"].stdout.splitlines()[-1])["env"] == "toy/catch"
    assert is_one_line(results["play"].stderr, "play: "), results["play"].stderr  # no display
    written = {path for path in site.rglob("*") if path.is_file()} - before
    assert {path.suffix for path in written} <= {".nbi", ".nbc"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None or os.getuid() != 0, reason="needs root, to be another user")
def test_packages_that_cannot_be_written_are_no_obstacle(site, tmp_path):
    """Another user's, who has no home: Numba's cache is among the temporary files."""
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    for path in (work, temporary):
        path.mkdir()
        path.chmod(0o777)
    for path in (tmp_path, *tmp_path.parents, site, *site.parents):
        if path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    other = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", sys.executable]
    env = {**os.environ, "PYTHONPATH": str(site), "HOME": "/nonexistent", "TMPDIR": str(temporary)}
    version = subprocess.run([*other, "-c", "import sys; print(sys.version)"], env=env, capture_output=True, text=True)
    if version.stdout.strip() != sys.version:
        pytest.skip("another user cannot run this Python")
    command = [*other, "-m", "a3crepro"]
    done = subprocess.run([*command, *SMALL, "frames=200"], cwd=work, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert summary(work / "run")["frames"] >= 200
    assert list((temporary / "a3crepro-12345").rglob("*.nbi")) and not list(site.rglob("*.nbi"))
