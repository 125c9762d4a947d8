"""MRC files: maps and image stacks."""
