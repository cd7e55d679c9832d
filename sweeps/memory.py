"""Records the memory of a training run over time: the proportional set size of its whole process tree.

  python -m a3crepro env=breakout threads=16 & python sweeps/memory.py $! [minutes=30] [table=memory]

Writes a row every half minute to `results/throughput/memory.csv` (or another table there) until the time is up or the
run ends. The anonymous part excludes files, mainly libraries, whose share varies with the other processes that use
them.
"""

import sys
import time
from pathlib import Path

from a3crepro.benchmark import pss_of_tree
from a3crepro.common.errors import UserError
from a3crepro.experiments.results import RESULTS
from a3crepro.runs.arguments import Key, only_own_arguments, positive_number
from a3crepro.runs.command_line import run_command
from a3crepro.runs.files import write_text

EVERY = 30.0
"""Seconds between rows."""


def main() -> None:
    """Watches the process given on the command line."""
    if len(sys.argv) < 2 or not Path("/proc", sys.argv[1], "stat").exists():
        raise UserError("the first argument should be the PID of a training run")
    pid = int(sys.argv[1])
    own = only_own_arguments(sys.argv[2:], {"minutes": positive_number(30), "table": Key(default="memory")})
    table, began = "minutes,pss_mib,anonymous_mib\n", time.monotonic()
    while (passed := time.monotonic() - began) <= 60 * own.minutes and (pss := pss_of_tree(pid)):
        anonymous = pss_of_tree(pid, "Pss_Anon")
        table += f"{passed / 60:.2f},{pss / 2**20:.1f},{anonymous / 2**20:.1f}\n"
        write_text(RESULTS / "throughput" / f"{own.table}.csv", table)
        time.sleep(EVERY)


if __name__ == "__main__":
    run_command(main, __doc__)
