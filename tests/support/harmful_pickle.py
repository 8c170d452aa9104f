"""What no reader may unpickle: loading it would run code, which leaves a folder behind."""

from __future__ import annotations

import os


class Payload:
    """Makes the folder `pwned` in the working directory when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)
