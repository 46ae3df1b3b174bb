"""What a change to a project must pass, and how that is told."""
