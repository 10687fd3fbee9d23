"""This package measures Backtape on real parts: ``python -m benchmarks`` (``make bench``). Nothing here fails for being slow."""
