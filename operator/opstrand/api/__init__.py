"""The HTTP API of runs: what the published client and command line, our client and the pages speak
to.

Owns the wire (paths, bodies, errors), who may do what, and the writes that a run makes about
itself. Must not decide what becomes of a run: that is the operator's, and is only read here.
"""
