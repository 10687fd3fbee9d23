"""This package holds example strategies for Backtape."""
