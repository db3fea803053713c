"""``python -m kpr_sender`` is ``kpr-send``."""

from kpr_sender.cli.main import main

if __name__ == "__main__":
    main()
