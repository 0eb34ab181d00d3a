# PYTHON_ARGCOMPLETE_OK
"""``python -m benchmark`` is the command ``angio-ssl``."""

from benchmark.commands import main

if __name__ == "__main__":
    main()
