"""What the init container runs: it carries out one JSON document, step by step, with the standard
library only.

It does what `core.pods.init_steps` wrote down and decides nothing. Its last words go to the
termination message: the run shows them.
"""
