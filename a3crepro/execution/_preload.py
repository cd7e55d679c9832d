"""Imported by the fork server alone, before it forks: what all processes of a run need, once, in memory they share."""

import torch

import a3crepro.evaluation
import a3crepro.execution.hogwild
import a3crepro.fast.model  # noqa: F401
from a3crepro.kernels import compile_all
from a3crepro.signals import ignore_all

compile_all()
torch.set_num_threads(1)
ignore_all()
