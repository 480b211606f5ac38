"""What "Striving for simplicity" printed, and how its order is asked of new results."""
