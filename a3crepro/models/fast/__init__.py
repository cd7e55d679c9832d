"""The project's networks without autograd: one state forward at a time, one rollout backward.

An `nn.Module` stays the definition of a network. `spec.py` reads off it what `network.py` needs: convolutions, one
hidden layer, perhaps LSTM cells, linear heads; `dense.py` does the same for fully connected layers alone. A module that
looks like neither takes the module path instead.
Outputs and gradients are those of the module (`tests/test_fast.py`), from the same flat vector of parameters.
"""
