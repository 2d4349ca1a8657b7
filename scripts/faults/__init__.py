"""The parts of `prove-faults`."""
