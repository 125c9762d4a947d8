"""Particle images: read, resampled, and copied to scratch."""
