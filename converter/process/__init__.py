"""Child processes with limits, the jobs that they do, and the runtimes that only they load."""
