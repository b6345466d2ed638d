"""The contract table: one row for every public name. A name without a row, and a row without a name, is red."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """What a public name is, and the small arguments that make one of it where it makes something.

    kind: topology, layer, model (a class that a topology makes), function, record (a class that holds data), class,
        registry, table (a mapping), module, or a part of an optimizer: rule, schedule, transform, averaging, group,
        optimizer; optimizer_parts.py makes an optimizer of each.
    arguments: for a topology and a layer, the arguments of a small one.
    """

    kind: str
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)


SMALL_IMAGE = {"input_shape": (8, 8, 3), "classes": 3, "seed": 0}
PARTS = {"activation": "gelu", "normalization": "batch", "dropout": 0.2, "regularizer": 1e-4}

ROWS: dict[str, Row] = {
    "datasets.DATASETS": Row("registry"),
    "datasets.FORMS": Row("registry"),
    "datasets.ImageData": Row("record"),
    "datasets.Split": Row("record"),
    "datasets.Splits": Row("record"),
    "datasets.apply_form": Row("function"),
    "datasets.cifar10": Row("module"),
    "datasets.color_histogram": Row("function"),
    "datasets.load": Row("function"),
    "datasets.own": Row("module"),
    "datasets.split": Row("function"),
    "datasets.synthetic": Row("module"),
    "experiments.AVERAGING": Row("registry"),
    "experiments.CALLBACKS": Row("registry"),
    "experiments.GRADIENT_TRANSFORMS": Row("registry"),
    "experiments.GROUPS": Row("registry"),
    "experiments.METRICS": Row("table"),
    "experiments.PREPROCESSORS": Row("registry"),
    "experiments.PreparedData": Row("record"),
    "experiments.RULES": Row("registry"),
    "experiments.Recipe": Row("record"),
    "experiments.RunFolder": Row("class"),
    "experiments.SCHEDULES": Row("registry"),
    "experiments.Trained": Row("record"),
    "experiments.Training": Row("record"),
    "experiments.build": Row("function"),
    "experiments.evaluate": Row("function"),
    "experiments.fit": Row("function"),
    "experiments.from_document": Row("function"),
    "experiments.load": Row("function"),
    "experiments.load_trained": Row("function"),
    "experiments.prepare": Row("function"),
    "experiments.run": Row("function"),
    "experiments.run_script": Row("function"),
    "experiments.shipped": Row("function"),
    "experiments.smoke": Row("function"),
    "layers.recalibrate": Row("function"),
    "optimizers.AdaptiveClip": Row("transform"),
    "optimizers.AddGradientNoise": Row("transform"),
    "optimizers.CentralizeGradients": Row("transform"),
    "optimizers.ClipByGlobalNorm": Row("transform"),
    "optimizers.ClipByNorm": Row("transform"),
    "optimizers.ClipByValue": Row("transform"),
    "optimizers.ComposedOptimizer": Row("optimizer"),
    "optimizers.ExponentialAveraging": Row("averaging"),
    "optimizers.GradientTransform": Row("base"),
    "optimizers.Lookahead": Row("averaging"),
    "optimizers.LookaheadNesterov": Row("rule"),
    "optimizers.MomentumSGD": Row("rule"),
    "optimizers.NormalizeGradients": Row("transform"),
    "optimizers.ParameterGroup": Row("group"),
    "optimizers.PolyakAveraging": Row("averaging"),
    "optimizers.RecordGradientNorms": Row("transform"),
    "optimizers.SkipNonFinite": Row("transform"),
    "optimizers.StochasticWeightAveraging": Row("averaging"),
    "optimizers.TextbookAdam": Row("rule"),
    "optimizers.TextbookRMSProp": Row("rule"),
    "optimizers.TunableOptimizer": Row("base"),
    "optimizers.WeightAveraging": Row("base"),
    "optimizers.averaged_weights": Row("context"),
    "optimizers.has_averaged_weights": Row("function"),
    "optimizers.layerwise_decay": Row("function"),
    "optimizers.no_decay_on_bias_and_norm": Row("function"),
    "optimizers.schedules": Row("module"),
    "optimizers.schedules.Cyclical": Row("schedule"),
    "optimizers.schedules.OneCycle": Row("schedule"),
    "optimizers.schedules.PerEpoch": Row("schedule"),
    "optimizers.schedules.Scaled": Row("schedule"),
    "optimizers.schedules.Sequence": Row("schedule"),
    "optimizers.schedules.StepDecay": Row("schedule"),
    "optimizers.schedules.Triangle": Row("schedule"),
    "optimizers.schedules.Warmup": Row("schedule"),
    "plots.comparison": Row("function"),
    "plots.curves": Row("function"),
    "plots.paths": Row("function"),
    "plots.schedules": Row("function"),
    "preprocessing.flip_mask": Row("function"),
    "preprocessing.random_crop": Row("function"),
    "topologies.ACTIVATIONS": Row("registry"),
    "topologies.DATA_FORMS": Row("table"),
    "topologies.DROPOUTS": Row("registry"),
    "topologies.EnsembleMember": Row("model"),
    "topologies.INITIALIZERS": Row("registry"),
    "topologies.NORMALIZATIONS": Row("registry"),
    "topologies.REGULARIZERS": Row("registry"),
    "topologies.TASKS": Row("table"),
    "topologies.TOPOLOGIES": Row("registry"),
    "topologies.VotingEnsemble": Row("model"),
    "topologies.VotingLayer": Row("layer", {"voting": "weighted", "weights": [1.0, 2.0], "name": "vote"}),
    "topologies.convnet": Row("topology", {"widths": [4, 8], "blocks": 1, **PARTS, **SMALL_IMAGE}),
    "topologies.describe": Row("function"),
    "topologies.ensemble": Row(
        "topology",
        {
            "members": ["mlp_functional", {"topology": "convnet", "widths": [4], "blocks": 1}],
            "voting": "majority",
            **SMALL_IMAGE,
        },
    ),
    "topologies.member_seed": Row("function"),
    "topologies.members": Row("function"),
    "topologies.mlp_functional": Row("topology", {"layers": [6, 5], **PARTS, **SMALL_IMAGE}),
    "topologies.mlp_sequential": Row("topology", {"layers": [6, 5], **PARTS, **SMALL_IMAGE}),
    "topologies.multi_input": Row(
        "topology",
        {"widths": [4], "blocks": 1, "histogram_units": 5, "joint_units": 6, **PARTS, **SMALL_IMAGE},
    ),
    "topologies.multi_label": Row(
        "topology", {"widths": [4, 8], "blocks": 1, **PARTS, **SMALL_IMAGE, "input_shape": (8, 16, 3)}
    ),
    "topologies.residual": Row("topology", {"depth": 8, "width": 4, **PARTS, **SMALL_IMAGE}),
    "tuning.GridOracle": Row("class"),
    "tuning.RandomOracle": Row("class"),
    "tuning.SearchConfig": Row("record"),
    "tuning.SearchResult": Row("record"),
    "tuning.TrialRecord": Row("record"),
    "tuning.load_config": Row("function"),
    "tuning.search": Row("function"),
}
