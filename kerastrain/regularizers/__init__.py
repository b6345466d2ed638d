"""Penalties as textbooks write them."""

from kerastrain.regularizers.textbook_penalty import decoupled_weight_decay, penalty_factor

__all__ = ["decoupled_weight_decay", "penalty_factor"]
