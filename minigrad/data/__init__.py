"""Datasets, and the loaders that draw shuffled batches from them. Also reachable as ``minigrad.utils.data``."""

from __future__ import annotations

from .collate import default_collate, default_convert
from .dataloader import DataLoader
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from . import transforms, vision
from .mnist import mnist5k
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler
from .sampler import WeightedRandomSampler
from .workers import WorkerInfo, get_worker_info
