"""Declared transforms, fitted on the training split."""
