"""Say what an episode tells a named policy that it does not know yet, in bits."""
