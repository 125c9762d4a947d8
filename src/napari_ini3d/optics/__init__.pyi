from .ctf import (
    compute_ctf as compute_ctf,
    ctf_parameters as ctf_parameters,
    electron_wavelength as electron_wavelength,
    phase_terms as phase_terms,
    spherical_term as spherical_term,
)
