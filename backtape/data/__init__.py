"""This package brings market data in, makes some, and lists what there is. The command line's ``data`` is made around it."""

from backtape.data.catalogue import DataSetSummary, list_datasets, show_dataset
from backtape.data.generate import generate_bars, generate_dataset
from backtape.data.importing import Imported, import_files, import_frame
from backtape.data.problems import BadDataError, Problem
from backtape.data.samples import import_samples

__all__ = [
    "BadDataError",
    "DataSetSummary",
    "Imported",
    "Problem",
    "generate_bars",
    "generate_dataset",
    "import_files",
    "import_frame",
    "import_samples",
    "list_datasets",
    "show_dataset",
]
