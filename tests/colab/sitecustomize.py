"""Colab's kernel has imported google.colab before the first cell runs."""

import google.colab  # noqa: F401
