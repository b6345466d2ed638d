import io

from rich.console import Console

from kerastrain.cli.progress import FitProgress


class Stopping:
    stop_training = False


def test_a_terminal_sees_how_the_loss_went_and_a_part_of_an_epoch_is_no_epoch():
    stream = io.StringIO()
    progress = FitProgress(Console(file=stream, force_terminal=True, width=200))
    progress.set_params({"steps": 2, "epochs": 3})
    progress.set_model(Stopping())
    progress.on_train_begin()
    # An earlier process has done one step of the third epoch; Keras counts the other as batch 0.
    progress.load_state_dict({"losses": [3.0, 2.0], "done": 1})
    progress.on_epoch_begin(2)
    progress.on_train_batch_end(0, {"loss": 1.0})
    assert progress.progress.tasks[0].completed == 6 and progress.state_dict()["done"] == 2
    assert "█▁" in progress.progress.tasks[0].fields["values"]
    progress.on_epoch_end(2, {"loss": 1.0, "val_loss": 1.5})
    assert progress.state_dict() == {"losses": [3.0, 2.0, 1.5], "done": 0}
    Stopping.stop_training = True
    progress.on_test_begin()
    progress.on_epoch_end(2, {"loss": 1.0, "val_loss": 9.0})
    progress.close()
    assert progress.losses == [3.0, 2.0, 1.5] and stream.getvalue().count("epoch   3/3") == 1
