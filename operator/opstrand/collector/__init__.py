"""What runs beside the main container: it sends the run's files to the API, as they change.

It runs in the operator's image, and may run in others: the standard library only.
"""
