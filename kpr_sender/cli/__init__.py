"""The command ``kpr-send``: one file a command. The only place that exits, prints and sets up logging."""
