"""TensorFlow's warning that much is traced anew, which in a search says nothing: every structure is traced once."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Keep that one warning from the terminal within the block; every other one is told.

    Example:

    >>> with without_retracing_warnings():
    ...     logging.getLogger("tensorflow").warning("5 out of the last 5 calls to f triggered tf.function retracing.")
    """
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_other)
    try:
        yield
    finally:
        logger.removeFilter(_is_other)


def _is_other(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()
