"""Losses that Keras lacks."""

from kerastrain.losses.sparse_categorical_crossentropy import SparseCategoricalCrossentropy

__all__ = ["SparseCategoricalCrossentropy"]
