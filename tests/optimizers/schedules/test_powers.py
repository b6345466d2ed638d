import keras
import numpy as np
import pytest

from kerastrain.optimizers.schedules.powers import power_tables, whole_power

COUNTS = [0, 1, 2, 7, 255, 2046, 2047, 2048, 2049, 4096, 99999, 2**22 - 1, 2**22, 2**22 + 1, 10**9 + 7, 2**31 - 1]


@pytest.mark.backend
@pytest.mark.parametrize("base", [1.0, 0.1, 0.5, 0.94, 0.95, 0.97, 0.9999, 1 - 1e-7, 1 - 1e-9, 1 + 1e-9])
def test_every_digit_of_the_count(base):
    found = keras.ops.convert_to_numpy(whole_power(power_tables(base), keras.ops.convert_to_tensor(COUNTS)))
    # Below float32's normal numbers a power has fewer digits, or is 0.
    np.testing.assert_allclose(found, [base**count for count in COUNTS], rtol=3e-7, atol=1e-37)


def test_one_table_where_larger_counts_have_no_power():
    assert len(power_tables(0.5)) == 1 and len(power_tables(0.99)) == 3
    assert float(whole_power(power_tables(0.5), keras.ops.convert_to_tensor(2**31 - 1))) == 0


def test_a_base_that_grows_beyond_every_float():
    # 2 ** 2047 is no float.
    tables = power_tables(2.0)
    found = [float(whole_power(tables, keras.ops.convert_to_tensor(count))) for count in (0, 1, 100)]
    assert found == [1.0, 2.0, 2.0**100]
