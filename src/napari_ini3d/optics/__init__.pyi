from .ctf import compute_ctf as compute_ctf, ctf_parameters as ctf_parameters
