"""Rollouts: who gets a release when (pure), and the shell that carries it out."""
