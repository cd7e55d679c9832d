"""Used by every layer: config types, rollouts, serialisation, kernels, processes and signals."""
