"""The Dockerfile, read by a linter, and carried out step by step in a fresh Debian with its Python."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.dockerfile import PATH, build
from watcher import __version__

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.prefix) / "bin" / "hadolint"

DEBIAN = "trixie"
"""What `python:3.13-slim` is made from, with that very Python among its packages."""
NEEDED = "python3,python3-venv,ca-certificates"
STATE = "var/lib/librechat-watcher"


@pytest.mark.skipif(not HADOLINT.exists(), reason="no wheel of hadolint for this machine")
def test_hadolint_finds_nothing_to_complain_about():
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="no debootstrap on PATH")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its root")
def test_the_images_own_steps_make_a_watcher_that_starts_answers_and_stops(tmp_path: Path):
    base = a_debian(tmp_path / "base")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"

    image = build(DOCKERFILE, base, tmp_path, network=how_pip_gets_out())
    made = time.time()
    settings = {
        "MONGO_URI": "mongodb://127.0.0.1:9/LibreChat",  # nobody is there, and it is waited for
        "WEBHOOK_URL": "https://your-server.com/",
        "WEBHOOK_SECRET": "s",
        "WATCHER_HTTP": listen,
    }
    running = image.start([*image.entrypoint, *image.command], **settings)
    try:
        healthy = in_time(lambda: image.start(image.healthcheck, **settings).wait(20) == 0)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    finally:
        running.kill()
        running.communicate()

    assert image.run([*image.entrypoint, "--version"]).split()[-1] == __version__
    assert healthy, said
    assert running.returncode == 0, said
    assert '"event":"stopped"' in said.replace(" ", "")
    state = (image.root / STATE).stat()
    assert f"{state.st_uid}:{state.st_gid}" == image.user
    assert stat.S_IMODE(state.st_mode) == 0o700
    assert list((image.root / STATE).iterdir())
    assert written_since(made, image.root) == []
    assert list(base.glob("usr/local/bin/pip*"))
    assert list(image.root.glob("usr/local/bin/pip*")) == list(image.root.glob("opt/*/bin/pip*")) == []


def a_debian(root: Path) -> Path:
    make = ["debootstrap", "--variant=minbase", f"--include={NEEDED}", DEBIAN, str(root)]
    subprocess.run(make, stdout=subprocess.DEVNULL, check=True, timeout=900)
    # As in the base image: a Python below /usr/local, with pip and nothing else.
    subprocess.run(["chroot", root, "python3", "-m", "venv", "/usr/local"], check=True, timeout=120)
    # This machine's way out.
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, root / "etc/ssl/certs/ca-certificates.crt")
    return root


def how_pip_gets_out() -> dict[str, str]:
    """The variables that tell pip where to look, and how to get there."""
    told = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    index = os.environ.get("PIP_INDEX_URL")
    return {"PATH": PATH, **told, **({"PIP_INDEX_URL": index} if index else {})}


def in_time(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def written_since(moment: float, root: Path) -> list[Path]:
    """Files that a read-only root would have refused."""
    allowed = {root / STATE, root / "tmp"}
    return [
        file
        for file in root.rglob("*")
        if not file.is_symlink() and file.is_file() and file.stat().st_mtime > moment
        if not allowed & {*file.parents}
    ]
