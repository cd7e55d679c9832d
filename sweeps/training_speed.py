"""Figures 4 and S10: score against hours for several numbers of actor-learners, from the runs of `thread_scaling.py`.

python sweeps/training_speed.py [scale=smoke|laptop|paper] [--dry-run|--status] [hydra/launcher=…] [overrides]
"""

from a3crepro.experiments.command import main
from sweeps.thread_scaling import view

EXPERIMENT = view("training_speed", "Figures 4 and S10")

if __name__ == "__main__":
    main(EXPERIMENT)
