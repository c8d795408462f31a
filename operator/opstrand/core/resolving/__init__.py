"""Resolve the values of a run: params, refs to other runs, joins and conditions become inputs.

Must not know Pods, or what a file looked like before it was compiled.
"""
