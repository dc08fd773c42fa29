"""What is loaded: objects, maps, programs, links; and what the running kernel can do. Needs privileges."""
