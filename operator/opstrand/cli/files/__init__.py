"""A user's file, the components that it references, and the position of each value."""
