"""The contrast transfer function."""
