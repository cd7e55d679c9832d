"""Networks: one module and one YAML file each. Each builds an `nn.Module`; `_network.py` documents its interface."""
