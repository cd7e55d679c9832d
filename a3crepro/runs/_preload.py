"""Imported last by the fork server, so that all processes of a run share the memory of its modules."""

import torch

from a3crepro.common.kernels import compile_all
from a3crepro.common.processes import end_with_parent
from a3crepro.common.signals import ignore_all

compile_all()
torch.set_num_threads(1)
ignore_all()
end_with_parent(False)  # from now on, the server notices the end of its parent itself
