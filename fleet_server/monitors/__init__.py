"""Monitors: baselines and drift (pure), and the watch that applies them to what arrives."""
