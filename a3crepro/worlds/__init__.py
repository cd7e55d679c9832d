"""First-person worlds: plain Gymnasium environments, drawn without OpenGL."""
