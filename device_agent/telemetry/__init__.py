"""Telemetry windows: what the host keeps of each inference, summed up a window at a time."""
