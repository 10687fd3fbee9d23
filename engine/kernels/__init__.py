"""The compiled inner loop: matching, accounting and marking as plain functions on a few arrays.

The same functions run under NUMBA_DISABLE_JIT=1 as plain Python, with equal bytes: only + - * / and sqrt on float64, in a
fixed order, without fastmath.
"""
