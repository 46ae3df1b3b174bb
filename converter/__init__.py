"""A candidate to gated, proven variants and a release bundle."""
