"""The HTTP API of runs, for the published client and command line, our client and the pages.

Owns the wire (paths, bodies, errors), what a caller may do, and the writes that a run makes about
itself. Must not decide what becomes of a run: the operator does, and the API only reads the result.
"""
