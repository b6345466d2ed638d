"""Results as lines for people; the line of JSON is for programs."""

from collections.abc import Mapping
from typing import Any

_ROLES = ("train", "val", "test")


def training_lines(result: Mapping[str, Any]) -> list[str]:
    """What a run gave; for an interrupted one, what there is of it."""
    lines = metric_table(result)
    if result["status"] != "finished":
        epochs = f"{result['epochs']} epoch" + ("" if result["epochs"] == 1 else "s")
        return [*lines, f"Stopped by {result['stopped']} after {epochs}; what there is, is in {result['run']}"]
    speed = f"{result['images_per_second']:,.0f} images/s in training, {result['seconds']:.1f} s in all"
    if result.get("resumed"):
        speed += f", resumed {result['resumed']} time" + "s" * (result["resumed"] > 1)
    return [*lines, f"{result['data']['description']}; seed {result['seed']}; {speed}", f"Run folder: {result['run']}"]


def metric_table(result: Mapping[str, Any]) -> list[str]:
    """Loss and metrics, a row for each role that the result has; no lines when it has none."""
    rows = {role: result[role] for role in _ROLES if result.get(role)}
    views = result.get("test_time_augmentation") or {}
    rows |= {f"{role} (views)": values for role, values in views.items()}
    if not rows:
        return []
    # Keras gives the names in the order of the alphabet.
    metrics = sorted({name for values in rows.values() for name in values}, key=lambda name: (name != "loss", name))
    table = {"": metrics} | {role: [_number(values.get(name)) for name in metrics] for role, values in rows.items()}
    return _aligned(table)


def ensemble_lines(result: Mapping[str, Any]) -> list[str]:
    """The scores of each member of an ensemble, and of their vote."""
    rows = {f"trial {member['trial']}": member for member in result["members"]} | {"vote": result}
    columns = [(role, name) for role in _ROLES if result.get(role) for name in result[role]]
    table = {"": [f"{role} {name}" for role, name in columns]}
    table |= {title: [_number(row[role][name]) for role, name in columns] for title, row in rows.items()}
    return [*_aligned(table), f"Model: {result['ensemble']}"]


def prediction_line(row: Mapping[str, Any]) -> str:
    """An image's likeliest classes; of a multi-label model first the labels that it gives the image."""
    spread = row.get("standard_deviations")
    best = ", ".join(
        f"{name} {probability:.1%}" + (f" ± {spread[name]:.1%}" if spread else "")
        for name, probability in list(row["probabilities"].items())[:3]
    )
    if "labels" not in row:
        return f"{row['image']}: {best}"
    return f"{row['image']}: {', '.join(row['labels']) or 'no label'} ({best})"


def _aligned(table: Mapping[str, list[str]]) -> list[str]:
    width = max(len(cell) for cells in table.values() for cell in cells) + 2
    head = max(5, *(len(title) for title in table))
    return [f"{title:<{head}}" + "".join(f"{cell:>{width}}" for cell in cells) for title, cells in table.items()]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
