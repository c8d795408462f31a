"""What a value may be: the types of inputs and outputs.

Must not know templates, runs or files.
"""
