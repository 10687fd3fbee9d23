"""This package brings in results of other systems: documents into files of the blob store, files into the log by commands."""
