"""Building and fitting the model: resumable, spread by config, within the machine."""
