from kerastrain.cli.summary import metric_table, prediction_line, training_lines

STOPPED = {"status": "interrupted", "stopped": "SIGINT", "run": "runs/a", "test": None}


def test_the_table_has_a_row_for_each_role_that_there_is():
    result = {"train": {"accuracy": 0.75, "loss": 0.5}, "val": {"loss": None, "accuracy": 1.0}, "test": None}
    assert [line.split() for line in metric_table(result)] == [
        ["loss", "accuracy"],
        ["train", "0.5000", "0.7500"],
        ["val", "-", "1.0000"],
    ]
    assert len({len(line) for line in metric_table(result)}) == 1
    assert metric_table({"data": "synthetic"}) == []


def test_columns_of_large_values_do_not_touch():
    header, row = metric_table({"test": {"loss": 12345.678, "auc": 2345678.25}})
    assert row.split() == ["test", "12345.6780", "2345678.2500"] and len(header) == len(row)


def test_a_role_without_a_metric_shows_a_dash():
    *_, row = metric_table({"train": {"loss": 1.0, "auc": 0.25}, "val": {"loss": 2.0}})
    assert row.split() == ["val", "2.0000", "-"]


def test_a_run_that_was_resumed_says_so():
    result = {"status": "finished", "run": "runs/a", "images_per_second": 1234.5, "seconds": 9.25, "seed": 0}
    result |= {"data": {"description": "synthetic"}, "resumed": 2}
    assert training_lines(result)[0].endswith("1,234 images/s in training, 9.2 s in all, resumed 2 times")
    assert training_lines({**result, "resumed": 0})[0].endswith("9.2 s in all")


def test_an_interrupted_run_shows_its_last_epoch():
    lines = training_lines({**STOPPED, "epochs": 1, "train": {"loss": 2.5}, "val": {"loss": 3.0}})
    assert [line.split() for line in lines[:3]] == [["loss"], ["train", "2.5000"], ["val", "3.0000"]]
    assert lines[3] == "Stopped by SIGINT after 1 epoch; what there is, is in runs/a"


def test_a_run_interrupted_before_its_first_epoch_ended_has_no_table():
    lines = training_lines({**STOPPED, "epochs": 0, "train": None, "val": None})
    assert lines == ["Stopped by SIGINT after 0 epochs; what there is, is in runs/a"]


def test_predictions_show_three_classes_and_the_labels_of_a_multi_label_model():
    row = {"image": "a.png", "probabilities": {"cat": 0.9, "dog": 0.625, "owl": 0.25, "bee": 0.0}}
    best = "cat 90.0%, dog 62.5%, owl 25.0%"
    assert prediction_line(row) == f"a.png: {best}"
    assert prediction_line({**row, "labels": ["cat", "dog"]}) == f"a.png: cat, dog ({best})"
    assert prediction_line({**row, "labels": []}) == f"a.png: no label ({best})"


def test_a_sampled_prediction_says_how_unsure_it_is():
    row = {"image": "a.png", "probabilities": {"cat": 0.6, "dog": 0.4}, "standard_deviations": {"cat": 0.1, "dog": 0.2}}
    assert prediction_line(row) == "a.png: cat 60.0% ± 10.0%, dog 40.0% ± 20.0%"


def test_views_have_rows_of_their_own():
    table = metric_table({"test": {"loss": 1.0}, "test_time_augmentation": {"test": {"loss": 0.5}}})
    assert [line.split() for line in table] == [["loss"], ["test", "1.0000"], ["test", "(views)", "0.5000"]]
