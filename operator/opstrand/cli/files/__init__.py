"""What a user's file brings: the file, what it references, and where each value stands in it."""
