"""Stand-in for Colab's package: enough for a notebook to see where it runs."""
