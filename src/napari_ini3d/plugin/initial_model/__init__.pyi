from .user_config import FormState as FormState
