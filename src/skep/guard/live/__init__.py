"""The half of the guard that needs a kernel: learns programs while they run, and watches them."""
