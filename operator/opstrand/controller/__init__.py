"""The controller's I/O: what it observes, what it writes, and the queue between the two."""
