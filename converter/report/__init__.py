"""The conversion report: its figures, and how a terminal and a page show them."""
