"""This package builds a generation of the read model from the log, beside the live one, and lets it take its place."""
