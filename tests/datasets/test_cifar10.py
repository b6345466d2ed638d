import hashlib
import http.server
import pathlib
import threading
import urllib.request

import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core.errors import InputError
from kerastrain.datasets import cifar10


def assert_is_tiny(loaded, tiny):
    (x_train, y_train), (x_test, y_test) = loaded
    for received, expected in (
        (x_train, tiny.x_train),
        (y_train, tiny.y_train),
        (x_test, tiny.x_test),
        (y_test, tiny.y_test),
    ):
        np.testing.assert_array_equal(received, expected)
        assert received.dtype == np.uint8
    assert x_train.flags.c_contiguous


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_folder_and_archive_give_the_same_arrays(tiny, tmp_path, kind):
    assert_is_tiny(cifar10.load_data(tiny.batch_folder(tmp_path / "folder", kind)), tiny)
    assert_is_tiny(cifar10.load_data(tiny.archive(tmp_path / "any_name", kind)), tiny)
    inner = {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"}[kind]
    tiny.batch_folder(tmp_path / "outer" / inner, kind)
    assert_is_tiny(cifar10.load_data(tmp_path / "outer"), tiny)


def test_npz_and_keras_label_columns(tiny, tmp_path):
    assert_is_tiny(cifar10.load_data(tiny.npz(tmp_path / "a.npz")), tiny)
    columns = {"y_train": tiny.y_train[:, np.newaxis], "y_test": tiny.y_test[:, np.newaxis].astype(np.int64)}
    assert_is_tiny(cifar10.load_data(str(tiny.npz(tmp_path / "b.npz", **columns))), tiny)


def test_image_folder_is_sorted_by_class_and_file_name(tiny, tmp_path):
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(tiny.image_folder(tmp_path / "images"))
    order = np.argsort(tiny.y_train, kind="stable")
    np.testing.assert_array_equal(x_train, tiny.x_train[order])
    np.testing.assert_array_equal(y_train, tiny.y_train[order])
    np.testing.assert_array_equal(x_test, tiny.x_test[::-1])
    assert y_test.tolist() == list(range(10))


def test_the_environment_variable_goes_before_the_cache(tiny, tmp_path, monkeypatch):
    tiny.batch_folder(tmp_path / "keras/datasets/cifar-10-batches-py", "python")
    other = tiny.npz(tmp_path / "other.npz", x_train=255 - tiny.x_train)
    monkeypatch.setenv("KERASTRAIN_CIFAR10", str(other))
    np.testing.assert_array_equal(cifar10.load_data()[0][0], 255 - tiny.x_train)


@pytest.mark.parametrize("value", ["/nowhere/cifar.npz", ""])
def test_a_named_source_that_is_missing_is_an_error_and_not_passed_over(tiny, tmp_path, monkeypatch, value):
    tiny.batch_folder(tmp_path / "keras/datasets/cifar-10-batches-py", "python")
    monkeypatch.setenv("KERASTRAIN_CIFAR10", value)
    with pytest.raises(InputError, match=r"KERASTRAIN_CIFAR10.*file or a folder"):
        cifar10.load_data()
    with pytest.raises(InputError, match=r"/nowhere.*`path`"):
        cifar10.load_data("/nowhere")


@pytest.mark.parametrize(
    "layout", ["cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py", "cifar-10-batches-bin"]
)
def test_keras_cache_layouts(tiny, tmp_path, layout):
    tiny.batch_folder(tmp_path / "keras/datasets" / layout, "binary" if layout.endswith("bin") else "python")
    assert_is_tiny(cifar10.load_data(), tiny)


@pytest.mark.parametrize(
    "name, kind, constant",
    [
        ("cifar-10-batches-py-target_archive", "python", "PYTHON_ARCHIVE_SHA256"),
        ("cifar-10-batches-py.tar.gz", "python", "PYTHON_ARCHIVE_SHA256"),
        ("cifar-10-python.tar.gz", "python", "PYTHON_ARCHIVE_SHA256"),
        ("cifar-10-binary.tar.gz", "binary", "ARCHIVE_SHA256"),
    ],
)
def test_a_cached_archive_is_verified_before_it_is_opened(tiny, tmp_path, monkeypatch, name, kind, constant):
    archive = tiny.archive(tmp_path / "keras/datasets" / name, kind)
    with pytest.raises(InputError, match=f"{name}.*sha256.*Delete the file"):
        cifar10.load_data()
    monkeypatch.setattr(cifar10, constant, hashlib.sha256(archive.read_bytes()).hexdigest())
    assert_is_tiny(cifar10.load_data(), tiny)


def test_a_damaged_cache_is_an_error_and_not_passed_over(tiny, tmp_path):
    folder = tiny.batch_folder(tmp_path / "keras/datasets/cifar-10-batches-py", "python")
    (folder / "data_batch_3").unlink()
    with pytest.raises(InputError, match="data_batch_3"):
        cifar10.load_data()


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Serve bytes at the archive's URL; `declared` is the Content-Length that the server claims."""
    servers = []

    def start(content: bytes, declared: int | None = None, status: int = 200) -> pathlib.Path:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if declared is None else declared))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(cifar10, "ARCHIVE_URL", f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz")
        return tmp_path / "keras/datasets"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_download_goes_to_the_cache_once(tiny, tmp_path, monkeypatch, serve, capsys):
    content = tiny.archive(tmp_path / "served", "binary").read_bytes()
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    cache = serve(content)
    assert_is_tiny(cifar10.load_data(), tiny)
    assert [path.name for path in cache.iterdir()] == ["cifar-10-binary.tar.gz"]
    output = capsys.readouterr()
    assert output.out == ""
    assert "cifar-10-binary.tar.gz" in output.err

    def no_network(*arguments, **options):
        raise AssertionError("the cache was there")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    assert_is_tiny(cifar10.load_data(), tiny)


THREE_WAYS = r"could not be downloaded.*{}.*`--data PATH`.*KERASTRAIN_CIFAR10=PATH.*put the archive at .*`synthetic`"


@pytest.mark.parametrize(
    "fault, why",
    [("wrong_hash", "sha256 is"), ("cut_short", "stopped after|sha256|Incomplete"), ("not_found", "Not Found|404")],
)
def test_a_failed_download_leaves_nothing_and_names_three_ways_on(tiny, tmp_path, monkeypatch, serve, fault, why):
    content = tiny.archive(tmp_path / "served", "binary").read_bytes()
    if fault == "wrong_hash":
        cache = serve(content)
    else:
        monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
        cache = serve(content[:-100], len(content)) if fault == "cut_short" else serve(b"", status=404)
    with pytest.raises(InputError, match=THREE_WAYS.format(f"({why})")) as caught:
        cifar10.load_data()
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_no_network_names_three_ways_on(tmp_path):
    with pytest.raises(InputError, match=THREE_WAYS.format("refused")):
        cifar10.load_data()


def test_a_cache_that_cannot_be_written_is_one_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="could not be downloaded"):
        cifar10.load_data()


def marked_as_original(count=40):
    """Random pixels that begin as the original's do, with the published first ten labels."""
    images = np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    images[0, 0, :3] = [[59, 62, 63], [43, 46, 45], [50, 48, 43]]
    return images, np.array([6, 9, 9, 4, 1, 1, 2, 7, 8, 3] + [0] * (count - 10), np.uint8)


def test_describe_tells_original_copy_and_others_apart(monkeypatch):
    images, labels = marked_as_original()
    assert cifar10.describe(images, labels) == "a part of CIFAR-10 (40 training images)"
    monkeypatch.setattr(cifar10, "_TRAIN_IMAGES", 40)
    sums = tuple(int(images[..., channel].astype(np.int64).sum()) for channel in range(3))
    monkeypatch.setattr(cifar10, "_CHANNEL_SUMS", sums)
    assert cifar10.describe(images, labels) == "CIFAR-10"
    assert cifar10.describe(images, labels[:, np.newaxis]) == "CIFAR-10"
    assert cifar10.describe(images[::-1], labels[::-1]) == "CIFAR-10 (in another order)"
    other = images.copy()
    other[5, 5, 5, 0] ^= 1
    assert cifar10.describe(other, labels) == "CIFAR-10 labels, other pixels"
    assert cifar10.describe(other, labels * 0) == "not CIFAR-10"
    monkeypatch.setattr(cifar10, "_JPEG_COPY_SHA256", hashlib.sha256(other.tobytes()).hexdigest())
    assert cifar10.describe(other, labels) == "CIFAR-10 (JPEG copy)"
    assert cifar10.describe(images[..., :1], labels) == "not CIFAR-10"


def test_the_original_s_channel_sums_are_the_published_means():
    means = (125.306918046875, 122.950394140625, 113.86538318359375)  # of the 50,000 training images, 0 to 255
    assert tuple(mean * 50_000 * 32 * 32 for mean in means) == pytest.approx(cifar10._CHANNEL_SUMS, abs=1e-4, rel=0)


def test_load_records_what_a_path_holds(tiny, tmp_path):
    images, labels = marked_as_original()
    labels[10:20] = np.arange(10)
    path = tiny.npz(tmp_path / "own.npz", x_train=images, y_train=labels)
    data = datasets.load(path)
    assert data.description == f"a part of CIFAR-10 (40 training images) from {path}"
    assert data.class_names == cifar10.CLASS_NAMES
    assert data.name == str(path)
