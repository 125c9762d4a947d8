"""Everything that knows Qt, magicgui and napari."""
