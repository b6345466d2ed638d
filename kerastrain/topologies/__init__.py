"""Example topologies: functions that return an uncompiled Keras model with named layers."""

from kerastrain.topologies import component_names as component_names
from kerastrain.topologies import registration as registration
from kerastrain.topologies.airbench import airbench
from kerastrain.topologies.catalog import DATA_FORMS, TASKS, TOPOLOGIES, describe
from kerastrain.topologies.components import ACTIVATIONS, DROPOUTS, INITIALIZERS, NORMALIZATIONS, REGULARIZERS
from kerastrain.topologies.convnet import convnet
from kerastrain.topologies.ensemble import ensemble, member_seed
from kerastrain.topologies.ensemble_member import EnsembleMember
from kerastrain.topologies.mlp_functional import mlp_functional
from kerastrain.topologies.mlp_sequential import mlp_sequential
from kerastrain.topologies.multi_input import multi_input
from kerastrain.topologies.multi_label import multi_label
from kerastrain.topologies.residual import residual
from kerastrain.topologies.supervised_autoencoder import supervised_autoencoder
from kerastrain.topologies.voting_ensemble import VotingEnsemble, members
from kerastrain.topologies.voting_ensemble_of import voting_ensemble_of
from kerastrain.topologies.voting_layer import VotingLayer

__all__ = [
    "ACTIVATIONS",
    "DATA_FORMS",
    "DROPOUTS",
    "EnsembleMember",
    "INITIALIZERS",
    "NORMALIZATIONS",
    "REGULARIZERS",
    "TASKS",
    "TOPOLOGIES",
    "VotingEnsemble",
    "VotingLayer",
    "airbench",
    "convnet",
    "describe",
    "ensemble",
    "member_seed",
    "members",
    "mlp_functional",
    "mlp_sequential",
    "multi_input",
    "multi_label",
    "residual",
    "supervised_autoencoder",
    "voting_ensemble_of",
]
