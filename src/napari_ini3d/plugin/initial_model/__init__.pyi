from .user_config import Choice as Choice
