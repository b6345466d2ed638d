"""The tables of side-by-side measurements in `results/README.md`, with bars; `summary.py` puts them there."""

import statistics
from typing import Any

KERAS = "Keras's"


def bar(value: float, whole: float, width: int = 20) -> str:
    """A bar of full blocks, `width` long for `whole`; a longer one ends in an arrow."""
    length = round(width * value / whole)
    return "█" * min(max(length, 1), width) + ("▶" if length > width else "")


def circumstances(report: dict[str, Any]) -> str:
    """Command, commit and machine of a measurement, for the line above its table."""
    facts = report["machine"]
    settings = "".join(f"{name}={value} " for name, value in report.get("environment", {}).items())
    return (
        f"`{settings}{report['command']}`, commit {report['commit']}, {report['date']}, {facts['processor']}, "
        f"{facts['cores']} cores ({', '.join(facts['flags'])}), load {report['load_average']}."
    )


def table(report: dict[str, Any], title: str, said: str, columns: str, lines: list[str]) -> list[str]:
    rule = "|" + "---|" * (columns.count("|") - 1)
    return [f"## {title}", "", f"{circumstances(report)} {said}", "", columns, rule, *lines]


def airbench_step(report: dict[str, Any], where: str = "") -> list[str]:
    """One training step of the speed run's network."""
    lines = []
    for row in report["rows"]:
        of_bfloat16 = "" if row["of_stock_bfloat16"] is None else f"{row['of_stock_bfloat16']:.2f}"
        lines.append(
            f"| {row['contender']} | {row['wall_seconds']:.3f} | {row['cpu_seconds']:.3f} "
            f"| {row['of_stock_float32']:.2f} | {of_bfloat16} | {bar(row['of_stock_float32'], 1)} |"
        )
    said = f"Batches of {report['rows'][0]['batch']}, medians of interleaved rounds; ratios by rounds."
    columns = "| contender | wall s | CPU s | of stock float32 | of stock bfloat16 | |"
    return table(report, f"One training step of the speed run's network{where}", said, columns, lines)


def airbench_step_float32(report: dict[str, Any]) -> list[str]:
    """The same where bfloat16 is emulated."""
    return airbench_step(report, ", on a processor without bfloat16")


def onednn(report: dict[str, Any]) -> list[str]:
    """A step with oneDNN and without."""
    return _two_environments(report, "oneDNN on a processor where TensorFlow leaves it off", "128 samples, float32.")


def freed_memory(report: dict[str, Any]) -> list[str]:
    """A step on torch where the process keeps what it frees, and where it does not."""
    batches = ", ".join(f"{row['batch']:,}" for row in report["rows"])
    said = f"{batches} samples, float32, the torch backend."
    return _two_environments(report, "PyTorch on a processor that keeps the memory it frees", said)


def _two_environments(report: dict[str, Any], title: str, said: str) -> list[str]:
    before, after = report["rows"][0]["milliseconds"]
    lines = [
        f"| {row['contender']} | {row['milliseconds'][before]:.1f} | {row['milliseconds'][after]:.1f} "
        f"| {row['times_as_fast']:.2f} | {bar(row['times_as_fast'], 2)} |"
        for row in report["rows"]
    ]
    columns = f"| a step of | ms, {before} | ms, {after} | times as fast | |"
    return table(report, title, f"Processes in turn; the ratio by rounds. {said}", columns, lines)


def small_images(report: dict[str, Any]) -> list[str]:
    """A convolution and a step by Keras's way and by Winograd's."""
    by_shape: dict[tuple[int, int, int], dict[str, dict[str, Any]]] = {}
    backends = list(dict.fromkeys(row["backend"] for row in report["rows"]))
    lines = []
    for row in report["rows"]:
        if "widths" not in row:
            by_shape.setdefault(tuple(row["side, channels, filters"]), {})[row["backend"]] = row
    for (side, channels, filters), rows in by_shape.items():
        found = [
            f"{row['of_keras']:.2f} {bar(row['of_keras'], 1, 10)}" + ("" if row["taken"] else " not taken")
            for row in map(rows.__getitem__, backends)
        ]
        lines.append(f"| {side}x{side}, {channels} to {filters} | {' | '.join(found)} |")
    columns = f"| convolution | {' | '.join(backends)} |"
    said = (
        f"Convolutions of 3x3 with their gradients, {report['rows'][0]['batch']} images, float32: Winograd's time of "
        "that of Keras's layer, by rounds. Where it is slower, or not by much, the layer does not take it."
    )
    found = table(report, "Convolutions by Winograd's minimal filtering", said, columns, lines)
    steps = [row for row in report["rows"] if "widths" in row]
    found += ["", "A training step of the speed run's network, of the time with Keras's convolutions:", ""]
    found += [
        "| backend | widths | images | batch | s, Keras's | of it, as the layer decides | | of it, all by Winograd's |"
    ]
    found += ["|---|---|---|---|---|---|---|---|"]
    for row in steps:
        ours, throughout = row["of_keras"]["as it decides"], row["of_keras"]["Winograd's"]
        found.append(
            f"| {row['backend']} | {', '.join(map(str, row['widths']))} | {row['side']}x{row['side']} | {row['batch']} "
            f"| {row['seconds'][KERAS]['wall_seconds']:.3f} | {ours:.2f} | {bar(ours, 1)} | {throughout:.2f} |"
        )
    return found


def speedrun(rows: list[dict[str, Any]]) -> list[str]:
    """Both sides of the speed run on each kind of processor."""
    kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row["machine"]["flags"]), []).append(row)
    tables = [_speedrun_of_a_kind(some) for some in kinds.values() if len({row["side"] for row in some}) == 2]
    return [line for lines in tables for line in ("", *lines)][1:]


def _speedrun_of_a_kind(rows: list[dict[str, Any]]) -> list[str]:
    """A line a run, and the means of each side: of the last code that was measured."""
    peers = [row for row in rows if row["side"] == "pytorch"]
    peers = [row for row in peers if row["code"] == peers[-1]["code"]]
    by_recipe = [[row for row in peers if row["recipe"] == name] for name in dict.fromkeys(r["recipe"] for r in peers)]
    last = next(row for row in reversed(rows) if row["side"] != "pytorch")
    ours = [row for row in rows if (row["code"], row["recipe"]) == (last["code"], last["recipe"])]
    most = max(row["seconds"] for row in (*peers, *ours))
    lines = []
    for side in (ours, *by_recipe):
        means = {
            key: statistics.mean(row[key] for row in side)
            for key in ("plain", "views_probabilities", "training_seconds", "seconds", "cpu_seconds")
        }
        runs = [(f"seed {row['seed']}", row) for row in side]
        for name, row in [*runs, (f"**mean of {len(side)}**", means)]:
            lines.append(
                f"| {side[0]['side']}, {side[0]['recipe']} | {name} | {100 * row['plain']:.2f} "
                f"| {100 * row['views_probabilities']:.2f} | {row['training_seconds']:.0f} | {row['seconds']:.0f} "
                f"| {row['cpu_seconds']:.0f} | {bar(row['seconds'], most)} |"
            )
    precision = ours[-1]["execution"]["precision"]
    said = (
        f"Whole processes in {precision}, all 50,000 images, the test set read once a run, with and without six views."
    )
    columns = "| side | | test % | with views % | s of training | s in all | CPU s | |"
    return table(ours[-1], f"The speed run beside its PyTorch peer, in {precision}", said, columns, lines)


def time_to_accuracy(rows: list[dict[str, Any]]) -> list[str]:
    """What was chosen on validation images, and what it comes to on the test set, on the last kind of processor."""
    rows = [row for row in rows if row["machine"]["flags"] == rows[-1]["machine"]["flags"]]
    last = {row["side"]: row["code"] for row in rows}
    rows = [row for row in rows if row["code"] == last[row["side"]]]
    most = max(row["seconds"] for row in rows)
    tests = [row for row in rows if row["phase"] == "test"]
    lines = []
    for row in [*(row for row in rows if row["phase"] != "test"), *sorted(tests, key=lambda row: row["side"])]:
        if "changes" in row:
            changes = row["changes"]
            about = (
                f"{changes['training.epochs']} epochs, widths {changes['model.widths']}, "
                f"{changes['data.augment.resolutions']}"
            )
            if "data.train_limit" in changes:
                about += f", {changes['data.train_limit']:,} images"
        else:
            about = f"{row['epochs']} epochs, rate {row['rate']}"
        lines.append(
            f"| {row['side']} | {about} | {row['asked']}, seed {row['seed']} | {100 * row['accuracy']:.2f} "
            f"| {row['training_seconds']:.0f} | {row['seconds']:.0f} | {row['cpu_seconds']:.0f} "
            f"| {bar(row['seconds'], most)} |"
        )
    for side in sorted({row["side"] for row in tests}):
        runs = [row for row in tests if row["side"] == side]
        accuracy, *seconds = (
            statistics.mean(row[key] for row in runs)
            for key in ("accuracy", "training_seconds", "seconds", "cpu_seconds")
        )
        lines.append(
            f"| {side} | | **test, mean of {len(runs)}** | {100 * accuracy:.2f} "
            f"| {' | '.join(f'{value:.0f}' for value in seconds)} | {bar(seconds[1], most)} |"
        )
    said = (
        "Whole processes, without test-time augmentation: epochs and rates chosen on 5,000 validation images, then all "
        "50,000 trained on and the test set read once a run, both sides in turn."
    )
    columns = "| side | what | asked | % | s of training | s in all | CPU s | |"
    return table(rows[-1], "85 % as soon as can be, beside plain ResNet-20", said, columns, lines)


def fit_overhead(report: dict[str, Any]) -> list[str]:
    """What `fit` costs a step."""
    most = max(row["microseconds_a_step"] for row in report["rows"])
    lines = [
        f"| {row['backend']} | {row['contender']} | {row['microseconds_a_step']:.0f} "
        f"| {row['times_less_than_compile']:.1f} | {bar(row['microseconds_a_step'], most)} |"
        for row in report["rows"]
    ]
    columns = "| backend | contender | µs a step | times less | |"
    said = "Five epochs of 2,000 steps of 32 samples."
    return table(report, "What `fit` costs a step of a tiny model", said, columns, lines)


def startup(report: dict[str, Any]) -> list[str]:
    """Import, `--help`, and the images in memory."""
    lines = []
    for row in report["rows"]:
        if "megabytes" in row:
            lines.append(f"| 50,000 images, {row['contender']} | {row['megabytes']:.0f} MB | {row['of_float32']:.2f} |")
        else:
            lines.append(f"| {row['contender']} | {row['wall_seconds']:.2f} s | {row['of_import_keras']:.2f} |")
    said = "A process of its own each; shares of `import keras`, and of float32."
    return table(report, "Before anything is trained", said, "| what | median | share |", lines)


def growth(report: dict[str, Any]) -> list[str]:
    """How cost grows."""
    lines = [
        f"| {row['factor']} | {row['of']} | {', '.join(map(str, row['values']))} "
        f"| {', '.join(f'{seconds:.3g}' for seconds in row['wall_seconds'])} | {row['slope']:.2f} |"
        for row in report["rows"]
    ]
    said = "The slope is that of log(seconds) over log(factor): 1 is proportional, 0 is no growth."
    columns = "| factor | seconds of | values | seconds | slope |"
    return table(report, "How cost grows", said, columns, lines)


def search_speed(report: dict[str, Any]) -> list[str]:
    """Trials an hour."""
    lines = []
    for row in report["rows"]:
        most = max(facts["trials_per_hour"] for facts in row["contenders"].values())
        for name, facts in row["contenders"].items():
            ratio = row["times_as_many_trials_an_hour"].get(name)
            lines.append(
                f"| {row['structures']} | {name} | {facts['trials_per_hour']:,.0f} | {facts['cpu_seconds']:.1f} "
                f"| {f'{ratio:.2f}' if ratio else ''} | {bar(facts['trials_per_hour'], most)} |"
            )
    said = (
        f"{report['rows'][0]['trials']} trials of 3 epochs, {report['rows'][0]['rounds']} interleaved rounds; bare "
        "keras-tuner once as its guide has it, once with `steps_per_execution`; kerastrain without and with re-use of "
        "compiled models, scores the same bit for bit. All rounds are in one process, in which whoever builds a model "
        "for each trial becomes slower from round to round; the seconds of each are in `search_speed.json`."
    )
    columns = "| structures | contender | trials an hour | CPU s | kerastrain does times as many | |"
    return table(report, "Trials an hour beside bare keras-tuner, nothing pruned", said, columns, lines)


def search_pruning(report: dict[str, Any]) -> list[str]:
    """What early killing saves and costs."""
    rows, lines = report["rows"], []
    for name in rows[0]["pruners"]:
        facts = [row["pruners"][name] for row in rows]
        cells = [
            ", ".join(str(fact[key]) for fact in facts)
            for key in ("share_of_the_epochs", "completed", "true_rank_of_the_chosen", "rank_of_the_true_best")
        ]
        speed = statistics.median(fact["times_as_many_trials_an_hour"] for fact in facts)
        lines.append(f"| {name} | {speed:.2f} | {' | '.join(cells)} |")
    seeds = ", ".join(str(row["seed"]) for row in rows)
    said = (
        f"{rows[0]['trials']} trials of {rows[0]['epochs']} epochs, seeds {seeds}; "
        "a number a seed. The true rank is that of the same trial where nothing is pruned."
    )
    columns = "| pruner | trials an hour, times | share of epochs | completed | true rank of the chosen | true best |"
    return table(report, "What pruning saves, and what it costs", said, columns, lines)


def optimizer_cost(rows: list[dict[str, Any]]) -> list[str]:
    """An optimizer's step and trace, variable by variable and fused, beside Keras's built-ins."""
    first = rows[0]
    loads = [row["load_average"] for row in rows]
    lines = [
        "## What an optimizer step costs: AdamW, global clip, decay exclusions, exponential average",
        "",
        f"`{first['command']}`, commit {first['commit']}, {first['date']}, {first['machine']['processor']}, "
        f"{first['machine']['cores']} cores, load {min(loads)} to {max(loads)}. `ComposedOptimizer` variable by "
        f"variable and fused, beside Keras's built-ins that do the same; {first['rounds']} rounds, ratios by "
        "rounds, below 1 is less than Keras; in brackets that of the fastest. Trace: the first call, with what the "
        "backend compiles in it. Half of the variables are kernels of width x width, half biases.",
        "",
        "| backend | variables | width | Keras, ms a step | apart | fused | | Keras, s to trace | apart | fused |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        step, trace = row["step"], row["fastest_trace_seconds"]
        # What was measured before variables could be fused has one ratio.
        ratios, traces = row["step_ratio"], row["trace_ratio"]
        if not isinstance(ratios, dict):
            ratios, traces = {"kerastrain": ratios}, {"kerastrain": traces}
        cells, traced = ["", ""], ["", ""]
        for place, name in enumerate(("kerastrain", "fused")):
            if name in ratios:
                fastest = step[name]["fastest_milliseconds"] / step["keras"]["fastest_milliseconds"]
                cells[place] = f"{ratios[name]:.2f} ({fastest:.2f})"
                traced[place] = f"{traces[name]:.2f} ({trace[name] / trace['keras']:.2f})"
        lines.append(
            f"| {row['backend']} | {row['variables']} | {row.get('width', 64)} | {step['keras']['milliseconds']:.2f} "
            f"| {' | '.join(cells)} | {bar(list(ratios.values())[-1], 1, 10)} | {row['trace_seconds']['keras']:.2f} "
            f"| {' | '.join(traced)} |"
        )
    return lines
