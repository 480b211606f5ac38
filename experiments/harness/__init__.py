"""What every experiment stands on: flags, files, signals, progress."""
