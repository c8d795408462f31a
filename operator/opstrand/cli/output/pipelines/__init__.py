"""How a pipeline and its runs look."""
