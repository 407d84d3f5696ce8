"""Object stores on loopback for tests: fake-gcs-server, which enforces generations, and moto for S3."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from postgres_server import free_port

import go_programs

_SECRET = "not-a-real-secret"


def _fake_gcs_program() -> Path:
    """The emulator's program; where it cannot be built the test is skipped, on CI it fails."""
    try:
        return go_programs.built(go_programs.FAKE_GCS)
    except go_programs.NotBuiltError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def fake_gcs(*buckets: str) -> Iterator[str]:
    """Runs fake-gcs-server in memory; gives its address, which the Google client finds in the environment too."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [
            str(_fake_gcs_program()),
            "-backend=memory",
            "-scheme=http",
            "-host=127.0.0.1",
            f"-port={port}",
            f"-external-url={address}",
            f"-public-host=127.0.0.1:{port}",
            "-log-level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setenv("NO_GCE_CHECK", "true")
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        try:
            _wait_for(f"{address}/storage/v1/b?project=test")
            for bucket in buckets:
                requests.post(
                    f"{address}/storage/v1/b?project=test", json={"name": bucket}, timeout=10
                ).raise_for_status()
            yield address
        finally:
            server.kill()
            server.wait()


@contextmanager
def moto_s3(bucket: str) -> Iterator[str]:
    """Runs moto's S3; gives the address of a bucket in it. Keys and region come from the environment."""
    pytest.importorskip("obstore")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        patch.setenv("AWS_REGION", "us-east-1")
        server.start()
        try:
            host, port = server.get_host_and_port()
            endpoint = f"http://{host}:{port}"
            requests.put(f"{endpoint}/{bucket}", timeout=10).raise_for_status()
            yield f"s3://{bucket}/?endpoint_url={endpoint}"
        finally:
            server.stop()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
