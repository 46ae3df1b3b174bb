"""Commands against the fleet server, one noun a file."""
