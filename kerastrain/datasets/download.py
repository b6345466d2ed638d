"""One file from the network, verified before anyone opens it."""

import hashlib
import http.client
import pathlib
import urllib.request

from kerastrain._core.atomic_files import replacing
from kerastrain.datasets.bad_data import reason

_CHUNK_BYTES = 2**20
_TIMEOUT_SECONDS = 30


class DownloadError(Exception):
    """Why nothing was downloaded, in a few words."""


def fetch(url: str, sha256: str, target: pathlib.Path) -> None:
    """Download `url` to `target`, with a progress bar on stderr.

    The file takes its place only when its sha256 is right; otherwise `target` and its folder stay as they were.

    Raises:
        DownloadError: no connection, a transfer cut short, another sha256, or no room to write.
    """
    try:
        with replacing(target) as temporary:
            received = _transfer(url, temporary)
            if received != sha256:
                raise DownloadError(f"the file's sha256 is {received}, not {sha256}")
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError
        raise DownloadError(reason(error)) from None


def _transfer(url: str, target: pathlib.Path) -> str:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    digest = hashlib.sha256()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
        target.open("wb") as stream,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        length = int(response.headers["Content-Length"] or 0)
        task = progress.add_task(url.rpartition("/")[2], total=length or None)
        while chunk := response.read(_CHUNK_BYTES):
            digest.update(chunk)
            stream.write(chunk)
            progress.update(task, advance=len(chunk))
        if length and stream.tell() != length:
            raise DownloadError(f"the transfer stopped after {stream.tell()} of {length} bytes")
    return digest.hexdigest()
