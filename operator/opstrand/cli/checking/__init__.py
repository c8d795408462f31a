"""What `check` and `render` report about a file."""
