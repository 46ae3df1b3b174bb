"""Where a model comes from: a candidate folder, or a foreign model with a sample of its inputs."""
