"""This package proves results: a run's log against its re-run, the SQL rows and the Parquet files against the log."""
