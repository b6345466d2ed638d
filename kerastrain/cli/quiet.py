"""TensorFlow's start-up noise, hidden."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from kerastrain._core import onednn


@contextlib.contextmanager
def quiet_start(verbose: bool) -> Iterator[None]:
    """Hide what libraries write to file descriptor 2 within the block; show it after all when the block fails.

    TensorFlow writes there before its own log level is read, so Python's `sys.stderr` cannot catch it.
    """
    if verbose:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except ImportError:
            hidden.seek(0)
            os.write(kept, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def start_keras(verbose: bool) -> None:
    """Import Keras and its backend, and run one operation so that devices are found, all without noise."""
    onednn.switch_on()
    with quiet_start(verbose):
        import keras

        keras.ops.add(1.0, 1.0)
        # On JAX and torch this is where Keras imports TensorFlow, to seed it too.
        keras.utils.set_random_seed(0)
