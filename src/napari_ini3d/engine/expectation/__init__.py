"""The expectation step: coarse pass, fine pass, priors."""
