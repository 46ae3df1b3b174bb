"""The model host: one process per active release, and the supervisor that swaps hosts without losing a request."""
