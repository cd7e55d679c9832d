"""What every layer may use: settings, rollouts, serialisation, kernels, processes and signals."""
