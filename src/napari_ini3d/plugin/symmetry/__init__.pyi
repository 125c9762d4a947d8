from .panels import tip as tip, words as words
from .undo import add_beside as add_beside
