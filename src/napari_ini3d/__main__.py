"""The command line, as ``python -m napari_ini3d``."""

from napari_ini3d.cli import main

if __name__ == "__main__":
    main()
