"""The program of the init container: it executes one JSON document, step by step.

It uses the standard library only, executes what `core.pods.init_steps` wrote and decides nothing.
It writes its error to the termination message, which the run shows.
"""
