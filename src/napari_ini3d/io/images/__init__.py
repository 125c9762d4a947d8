"""Particle images: reading, resampling and scratch copies."""
