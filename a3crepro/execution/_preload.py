"""Imported by the fork server alone, before it forks: what all processes of a run need, once, in memory they share."""

import signal

import torch

import a3crepro.evaluation
import a3crepro.execution.hogwild
import a3crepro.fast.model  # noqa: F401
from a3crepro.kernels import compile_all

compile_all()
torch.set_num_threads(1)
# A signal to the whole process group is for the run's main process, which then stops the others in order.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
