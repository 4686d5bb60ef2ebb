"""`saqiya serve`: the web pages and the JSON interface over the verbs of `Flywheel`; no SQL and no logic here."""
