"""The bench: our operator beside the bare write loop, on one control plane, in one run.

See docs/reference/speed.md.
"""
