"""What comes out: ring buffers, perf buffers and printk, as batches of typed records with what was lost."""
