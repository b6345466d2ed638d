"""The accelerator that the backend computes on, if there is one. Only the backend in use is imported."""

import keras


def device_name() -> str | None:
    """The name of the accelerator that the backend computes on, or None on a CPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        if not devices:
            return None
        return str(tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU"))
    if backend == "jax":
        import jax

        return None if jax.default_backend() == "cpu" else str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return None


def has_bfloat16() -> bool:
    """Whether the accelerator multiplies bfloat16 natively: on NVIDIA, from the Ampere generation on."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if backend == "jax":
        import jax

        capability = str(getattr(jax.devices()[0], "compute_capability", "8.0"))
        return float(capability) >= 8.0
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    capability = tf.config.experimental.get_device_details(devices[0]).get("compute_capability", (0, 0))
    return tuple(capability) >= (8, 0)


def memory_bytes() -> int | None:
    """How much memory JAX's accelerator has; None on other backends, and where it does not say."""
    if keras.backend.backend() != "jax":
        return None
    import jax

    statistics = jax.devices()[0].memory_stats() or {}
    found = statistics.get("bytes_limit")
    return None if found is None else int(found)
