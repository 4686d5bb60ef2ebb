"""Pages and pictures that stand alone: drawn from facts, without scripts, made to be printed."""
