"""What can be done with the maps of each kind, one file a kind; `skep.kernel.map.open_map` picks it."""
