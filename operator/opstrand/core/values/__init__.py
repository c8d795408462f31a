"""The types of inputs and outputs: which values they accept.

Must not know templates, runs or files.
"""
