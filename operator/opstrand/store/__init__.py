"""The database of runs: what the API keeps of a run whose Operation is deleted.

Owns the schema, its migrations and the SQL. The API opens it; the operator never does. Must not
know an Operation: `runs.records` makes rows of bodies.
"""
