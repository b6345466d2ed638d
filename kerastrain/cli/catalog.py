"""What `kerastrain list` can list."""

from typing import Any

from kerastrain._core.errors import InputError, closest

Rows = dict[str, list[tuple[str, str]]]


def catalog(experiments: Any, kind: str | None) -> Rows:
    """Names and descriptions by kind; all kinds when `kind` is None. Raises InputError for an unknown kind."""
    from kerastrain import datasets
    from kerastrain.topologies import TOPOLOGIES, components
    from kerastrain.tuning import PRUNERS

    registries = {
        "datasets": datasets.DATASETS,
        "topologies": TOPOLOGIES,
        "activations": components.ACTIVATIONS,
        "initializers": components.INITIALIZERS,
        "normalizations": components.NORMALIZATIONS,
        "dropouts": components.DROPOUTS,
        "regularizers": components.REGULARIZERS,
        "preprocessing": experiments.PREPROCESSORS,
        "augmentations": experiments.AUGMENTATIONS,
        "optimizer_rules": experiments.RULES,
        "schedules": experiments.SCHEDULES,
        "gradient_transforms": experiments.GRADIENT_TRANSFORMS,
        "parameter_groups": experiments.GROUPS,
        "averaging": experiments.AVERAGING,
        "callbacks": experiments.CALLBACKS,
        "pruners": PRUNERS,
    }
    rows: Rows = {"recipes": [(name, _first_comment(path)) for name, path in experiments.shipped().items()]}
    rows |= {name: [(entry.name, entry.description) for entry in registry] for name, registry in registries.items()}
    if kind is None:
        return rows
    if kind not in rows:
        raise InputError(f"`list`: unknown kind `{kind}`.{closest(kind, rows)} Known: {', '.join(rows)}.")
    return {kind: rows[kind]}


def _first_comment(path: Any) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return str(first.lstrip("# ")) if first.startswith("#") else ""
