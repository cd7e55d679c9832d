"""Imported by the fork server alone, before it forks: what all processes of a run need, once, in memory they share."""

import torch

from a3crepro.common.kernels import compile_all
from a3crepro.common.signals import ignore_all

compile_all()
torch.set_num_threads(1)
ignore_all()
