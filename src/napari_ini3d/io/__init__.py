"""Files: STAR, image stacks, maps, run folders. The only place with rln names."""
