"""Data to a verified, trained, evaluated and validated candidate; and the worker that does it again."""
