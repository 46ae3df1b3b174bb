"""The front door: the command line, the demo and the doctor. It may import every part, lazily."""
