"""The one exception that means "the input is wrong", as opposed to "the code is wrong"."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is a single line that names the file, folder or key at fault and says what would
    mend it. Command lines print it as ``error: …`` and exit with code 2; anything else that
    escapes is a defect and keeps its traceback.
    """
