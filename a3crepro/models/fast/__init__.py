"""Networks without autograd: one observation forward at a time, one rollout backward.

An `nn.Module` stays the definition of a network. `spec.py` reads its layers: convolutions, one hidden layer, optional
LSTM cells and linear heads (`convolutional.py`), or fully connected layers, cells and heads (`dense.py`). Other modules
run with autograd. Outputs and gradients are the module's (`tests/test_fast.py`), at the same flat vector of parameters.
"""
