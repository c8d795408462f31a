"""The controller's shell: what it observes, the writes that it makes, and the queue between
them.
"""
