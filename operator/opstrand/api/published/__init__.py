"""The API of the published client: one module per group of paths, each with its `ROUTES`.

A route parses the request, calls the store of runs, and answers.
"""
