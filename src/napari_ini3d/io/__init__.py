"""File formats: STAR files, MRC maps and image stacks. RELION's labels occur only here."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
