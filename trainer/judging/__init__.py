"""What a model is worth, and the gates of its verdict."""
