"""Figures 3 and S9: score against epochs for several numbers of actor-learners, from the runs of `thread_scaling.py`.

python sweeps/data_efficiency.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]
"""

from a3crepro.experiments.command import main
from sweeps.thread_scaling import view

EXPERIMENT = view("data_efficiency", "Figures 3 and S9")

if __name__ == "__main__":
    main(EXPERIMENT)
