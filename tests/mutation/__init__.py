"""Mutation testing of the kernels that match and account: does a test notice each small change of the code?

``make mutation`` makes the changes with cosmic-ray's operators, runs the tests that reach the changed line against each, and
writes docs/mutation.md. It goes on where it was stopped and is no part of ``make test``.
"""
