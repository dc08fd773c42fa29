"""What is loaded: objects, maps, programs and links of the running kernel, and what that kernel can do. Needs privileges."""
