"""The data sets: `load_dataset` and one reader for each published layout."""

from imc_bench.datasets.registry import DATASETS, DatasetInfo, load_dataset

__all__ = ["DATASETS", "DatasetInfo", "load_dataset"]
