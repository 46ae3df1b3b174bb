"""Labelled data in memory: their schema, their faults, how they are split."""
