"""Translation invariance of trained nets: arms, what is asked of each, contrasts."""
