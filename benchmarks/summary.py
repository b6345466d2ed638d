"""Write `results/README.md`, the tables of what was measured, from the files beside it: python benchmarks/summary.py"""

import collections
import json
import pathlib
import re
from typing import Any

import summary_speed

RESULTS = pathlib.Path(__file__).parent / "results"


def main() -> None:
    rows = lines_of("cifar10.jsonl")
    text = ["# What was measured", "", *training(rows), "", *searches(rows)]
    if (RESULTS / "throughput.json").exists():
        text += ["", *throughput(json.loads((RESULTS / "throughput.json").read_text(encoding="utf-8")))]
    if (RESULTS / "optimizer_cost.jsonl").exists():
        text += ["", *summary_speed.optimizer_cost(lines_of("optimizer_cost.jsonl"))]
    if (RESULTS / "speedrun.jsonl").exists():
        text += ["", *summary_speed.speedrun(lines_of("speedrun.jsonl"))]
    if (RESULTS / "time_to_accuracy.jsonl").exists():
        text += ["", *summary_speed.time_to_accuracy(lines_of("time_to_accuracy.jsonl"))]
    if (RESULTS / "augmentation.json").exists():
        text += ["", *augmentation(json.loads((RESULTS / "augmentation.json").read_text(encoding="utf-8")))]
    if (RESULTS / "checkpoint_cost.json").exists():
        text += ["", *checkpoint_cost(json.loads((RESULTS / "checkpoint_cost.json").read_text(encoding="utf-8")))]
    for of in (
        summary_speed.airbench_step,
        summary_speed.airbench_step_float32,
        summary_speed.onednn,
        summary_speed.freed_memory,
        summary_speed.small_images,
        summary_speed.fit_overhead,
        summary_speed.startup,
        summary_speed.search_speed,
        summary_speed.search_pruning,
        summary_speed.growth,
    ):
        path = RESULTS / f"{of.__name__}.json"
        if path.exists():
            text += ["", *of(json.loads(path.read_text(encoding="utf-8")))]
    if (RESULTS / "ablation.jsonl").exists():
        text += ["", *ablation(lines_of("ablation.jsonl"))]
    text += ["", *examples(lines_of("examples.jsonl"))]
    (RESULTS / "README.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def lines_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / name).read_text(encoding="utf-8").splitlines()]


def training(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each command, its seeds together."""
    groups = collections.defaultdict(list)
    for row in rows:
        if "test" in row:
            groups[re.sub(r" --seed \d+", "", row["command"])].append(row)
    first = next(iter(groups.values()))[0]
    lines = [
        f"## Accuracy on {first['data']}",
        "",
        f"{first['machine']['processor']}, {first['machine']['cores']} cores ({', '.join(first['machine']['flags'])}), "
        f"{first['execution']['precision']}, TensorFlow {first['versions']['tensorflow']}, Keras "
        f"{first['versions']['keras']}. Each row is a command with `--seed` as given and `KERASTRAIN_CIFAR10` set; the "
        "test set was used once a run, no test-time augmentation. Seconds are of the whole command, **on a machine "
        "that other work shared** (`load_before`, `load_after` in `cifar10.jsonl`): accuracies are exact, times not.",
        "",
        "| command | seeds | epochs | test accuracy, mean (min to max) | validation | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for command, runs in groups.items():
        seconds = [row["seconds"] for row in runs]
        metric = "f1_score" if "f1_score" in runs[0]["test"] else "accuracy"
        test, validation = (spread([row[role][metric] for row in runs]) for role in ("test", "val"))
        lines.append(
            f"| `{command}` | {', '.join(str(row['seed']) for row in runs)} | {runs[0]['epochs']} "
            f"| {'macro F1 ' if metric == 'f1_score' else ''}{test} | {validation} "
            f"| {min(seconds):.0f} to {max(seconds):.0f} |"
        )
    return lines


def searches(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each search."""
    lines = ["## Searches", "", "| command | trials | best value | its parameters |", "|---|---|---|---|"]
    for row in rows:
        if "trials" in row:
            parameters = ", ".join(f"{key} {value}" for key, value in row["best"]["parameters"].items())
            lines.append(f"| `{row['command']}` | {count(row['trials'])} | {row['best']['value']:.4f} | {parameters} |")
    return lines


def throughput(report: dict[str, Any]) -> list[str]:
    """Images a second beside plain Keras."""
    lines = [
        "## Images a second in training, beside a plain Keras script",
        "",
        f"`{report['command']}`, commit {report['commit']}, {report['machine']['processor']}, "
        f"{report['machine']['cores']} cores; medians of interleaved repeats. "
        "Speed is relative to plain Keras: by the median over the rounds, by the "
        "fastest run of each, and by the median of CPU seconds. Wall times on a virtual machine can jump between two "
        "values for everybody; the fastest runs and the CPU seconds do not.",
        "",
        "| recipe | contender | images/s | CPU seconds | by rounds | by fastest | by CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        plain = next(iter(row["contenders"].values()))
        for name, facts in row["contenders"].items():
            ratio = row["speed_relative_to_plain"].get(name, 1.0)
            fastest = min(plain["wall_seconds_of_each"]) / min(facts["wall_seconds_of_each"])
            lines.append(
                f"| {row['recipe']} | {name} | {facts['images_per_second']:,.0f} | {facts['cpu_seconds']:.2f} "
                f"| {ratio:.2f} | {fastest:.2f} | {plain['cpu_seconds'] / facts['cpu_seconds']:.2f} |"
            )
    return lines


def augmentation(report: dict[str, Any]) -> list[str]:
    """Augmented images a second."""
    lines = [
        "## Augmented images a second: crop out of four reflected pixels, and flip",
        "",
        f"`{report['command']}`, commit {report['commit']}, {report['machine']['processor']}, "
        f"{report['machine']['cores']} cores, load {report['load_average']}; medians of interleaved repeats.",
        "",
        "| contender | images/s | CPU seconds | kerastrain is faster by |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['contender']} | {row['images_per_second']:,.0f} | {row['cpu_seconds']:.2f} "
            f"| {row['kerastrain_is_faster_by']:.1f} |"
        )
    return lines


def checkpoint_cost(report: dict[str, Any]) -> list[str]:
    """What saving each epoch costs."""
    row = report["rows"][0]
    plain, saving = row["contenders"]["plain"], row["contenders"]["saving"]
    return [
        "## What saving at the end of each epoch costs: ResNet-20",
        "",
        f"`{report['command']}`, commit {report['commit']}, {report['machine']['processor']}, "
        f"{report['machine']['cores']} cores. Epochs of {row['images_in_an_epoch']:,} images, two saves in each: "
        f"{row['share_of_the_time_spent_saving']:.2%} of the wall time is spent saving, "
        f"{row['milliseconds_of_each_save']:.0f} ms a save; CPU seconds {plain['cpu_seconds']:.2f} without and "
        f"{saving['cpu_seconds']:.2f} with it.",
    ]


def ablation(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each variant, its seeds together, beside the baseline of the same seeds."""
    facts, trials = rows[0], rows[1:]
    groups = collections.defaultdict(dict)
    for trial in trials:
        groups[trial["variant"]][trial["seed"]] = trial["val_accuracy"][-1]
    baseline = groups["baseline"]
    lines = [
        "## One factor at a time: a small convnet on CIFAR-10 (JPEG copy)",
        "",
        f"`{facts['command']}`, {facts['machine']['processor']}, {facts['machine']['cores']} cores, float32; "
        "10,000 training images, 5 epochs, seeds 0, 1, 2. Accuracy on the 5,000 validation images after the last "
        "epoch; the difference is to the baseline of the same seed. At five epochs what only slows learning down "
        "(augmentation, dropout) looks worse than in a long run; maxout has twice the filters. The search took 93 "
        "minutes on a shared machine. [Figure](../../docs/figures/ablation.png).",
        "",
        "| variant | validation accuracy, mean (min to max) | difference in points, mean (min to max) |",
        "|---|---|---|",
    ]
    for variant, values in groups.items():
        points = [100 * (value - baseline[seed]) for seed, value in values.items()]
        mean = sum(points) / len(points)
        lines.append(
            f"| {variant} | {spread(list(values.values()))} | {mean:+.1f} ({min(points):+.1f} to {max(points):+.1f}) |"
        )
    return lines


def examples(rows: list[dict[str, Any]]) -> list[str]:
    """Where the examples' figures are, and how long they took."""
    lines = [
        "## Examples",
        "",
        "Every number is in `examples.jsonl`; times on a machine that other work shared.",
        "",
        "| command | seeds | data | seconds | figure |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        name = pathlib.Path(row["command"].split()[1]).stem
        seeds = ", ".join(map(str, row["seeds"]))
        data = row.get("data", "none or synthetic")
        figures = ", ".join(f"[{one}.png](../../docs/figures/{one}.png)" for one in row.get("figures", [name]))
        lines.append(f"| `{row['command']}` | {seeds} | {data} | {row['seconds']:.0f} | {figures} |")
    return lines


def spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.2%}"
    return f"{mean:.2%} ({min(values):.2%} to {max(values):.2%})"


def count(trials: Any) -> int:
    return len(trials) if isinstance(trials, list) else int(trials)


if __name__ == "__main__":
    main()
