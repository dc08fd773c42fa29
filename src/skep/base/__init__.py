"""What every other room speaks: errors, schemas, meanings, the kernel's numbers. Pure; imports nothing of skep."""
