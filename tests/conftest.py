"""Makes this folder importable, so that tests share `mutations` and `optimizer_probes`."""

import gc

import pytest

from kerastrain._core import onednn

onednn.switch_on()  # As the command line does, whose results tests compare with their own, bit by bit.


@pytest.fixture(scope="module", autouse=True)
def what_outlives_a_file_is_not_searched_again():
    """TensorFlow keeps a graph of every compiled step: each full garbage collection took longer than the last."""
    gc.collect()
    gc.freeze()
