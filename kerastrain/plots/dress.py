"""What the figures of this package have in common."""

from typing import Any

COLORS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
)

_CHARACTER, _SAMPLE = (
    0.085,
    0.55,
)  # Inches, in a legend: of a letter on average, and of the piece of line before a name.


def dress(axes: Any, title: str, x_label: str, y_label: str = "") -> None:
    """Title, labels, a light grid, and no frame on the top and the right."""
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Any) -> None:
    """One legend for all panels, each name once, in as many columns as the width holds."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, line)
    wide = max(len(label) for label in entries) * _CHARACTER + _SAMPLE
    columns = max(1, min(len(entries), int(figure.get_figwidth() / wide)))
    figure.legend(entries.values(), entries.keys(), frameon=False, loc="outside lower center", ncols=columns)
