"""Differential runs: the same rules on the same bars, here and in the engines whose users the presets serve.

``make differential`` installs those engines into an environment of their own, runs every pair, compares fill by fill, and writes
the table in docs/conformance.md. It is no part of ``make test``.
"""
