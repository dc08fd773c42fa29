"""The gallery: one folder a tool, a kernel file and its page. It holds no Python."""
