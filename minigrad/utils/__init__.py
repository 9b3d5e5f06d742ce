"""Helpers: data loading, activation checkpointing."""

