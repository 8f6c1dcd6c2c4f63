"""No test of the course writes progress beside the project's files."""

import pytest

from moe_lib.course import kept_file


@pytest.fixture(autouse=True)
def progress_path(tmp_path, monkeypatch):
    """Where this test's progress is kept; nothing has been told yet."""
    path = tmp_path / "progress.json"
    monkeypatch.setenv(kept_file.VARIABLE, str(path))
    monkeypatch.setattr(kept_file, "_told", {})
    return path
