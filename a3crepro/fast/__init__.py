"""The networks of the paper and of MinAtar without autograd: one state forward at a time, one rollout backward.

An `nn.Module` stays the definition of a network. `spec.py` reads off it what `network.py` needs; a module that does
not look like convolutions, one hidden layer, perhaps LSTM cells, and linear heads takes the module path instead.
Outputs and gradients are those of the module (`tests/test_fast.py`), from the same flat vector of parameters.
"""
