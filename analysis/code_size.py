"""Counts the lines of the package, like `wc -l`, by the layers of `pyproject.toml`.

  python analysis/code_size.py

The core is what you read to understand a run: rollouts, algorithms, the learner, the executions, the training loop and
the configuration.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ("common/rollout.py", "algorithms", "learner", "execution", "runs/training.py", "config")


def lines(path: Path) -> int:
    """Lines of a module, or of all modules of a package; 0 if it does not exist."""
    files = [path] if path.is_file() else path.rglob("*.py")
    return sum(file.read_bytes().count(b"\n") for file in files)


def layers() -> list[str]:
    """The modules and packages of each layer, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [name for layer in found for name in re.findall(r"\w+", layer)]


def main() -> None:
    """Prints a table."""
    package = ROOT / "a3crepro"
    counts = {name: lines(package / name) or lines(package / f"{name}.py") for name in layers()}
    counts |= {"__init__": lines(package / "__init__.py"), "hydra_plugins": lines(ROOT / "hydra_plugins")}
    for name, count in counts.items():
        print(f"{count:6,}  {name}")
    print(f"{sum(counts.values()):6,}  all")
    print(f"{sum(lines(package / name) for name in CORE):6,}  core: {', '.join(CORE)}")


if __name__ == "__main__":
    main()
