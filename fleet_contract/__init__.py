"""What two parts of edgeferry must agree on, and nothing else.

Rules this package keeps: no I/O, no clock, no randomness; standard library, msgspec and numpy only.
Every document that crosses a process or a wire is a type here, every topic a row in `topics`, and both
life cycles (a deployment on a device, a rollout over the fleet) are pure, total transition tables.
"""
