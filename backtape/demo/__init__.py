"""This package is the demo: the main job on one machine, in the order in which a user would see it."""
