"""Networks: one module and one YAML file each; each builds an `nn.Module` of the face in `_network.py`."""
