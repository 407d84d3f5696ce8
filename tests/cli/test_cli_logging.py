"""Log lines as text and as JSON, and which lines reach a user."""

from __future__ import annotations

import json
import logging

import pytest

from aurora_ingest.cli import log_lines as cli_logging


def test_a_text_line_has_level_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure("text", "info")
    log = logging.getLogger("aurora_ingest.test")
    log.info("Finished %s", "reading", extra={"sequence": 63, "duration": 1.23456, "text": "two words", "empty": ""})
    line = capsys.readouterr().err
    assert line.endswith('Z INFO    Finished reading sequence=63 duration=1.235 text="two words" empty=""\n')
    assert line[:2] == "20"


def test_a_json_line_has_the_service_and_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure("json", "info")
    logging.getLogger("aurora_ingest.test").warning("Line\nbreak", extra={"sequence": 63})
    line = json.loads(capsys.readouterr().err)
    del line["time"]
    assert line == {
        "level": "warning",
        "service": "expingest",
        "logger": "aurora_ingest.test",
        "message": "Line\nbreak",
        "sequence": 63,
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_is_kept(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure(log_format, "info")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("aurora_ingest.test").exception("Broken")
    assert "Traceback" in capsys.readouterr().err


def test_libraries_are_heard_only_when_it_is_serious(capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure("text", "info")
    logging.getLogger("apache_beam.runners").error("a bundle failed, with its traceback")
    logging.getLogger().warning("apitools not found")
    logging.getLogger("urllib3").info("connected")
    logging.getLogger("aurora_ingest").debug("detail")
    assert capsys.readouterr().err == ""
    logging.getLogger("urllib3").warning("retrying")
    assert "retrying" in capsys.readouterr().err


def test_debug_lets_everything_pass(capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure("text", "error", debug=True)
    logging.getLogger("apache_beam.runners").info("a bundle")
    logging.getLogger("aurora_ingest").debug("detail")
    output = capsys.readouterr().err
    assert "a bundle" in output
    assert "detail" in output


def test_configuring_twice_does_not_double_lines(capsys: pytest.CaptureFixture[str]) -> None:
    cli_logging.configure("text", "info")
    cli_logging.configure("text", "info")
    logging.getLogger("aurora_ingest").info("once")
    assert capsys.readouterr().err.count("once") == 1
