"""The built-in strategies, one to a file."""
