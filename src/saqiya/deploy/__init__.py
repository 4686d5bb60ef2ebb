"""Let a policy loose by a decision, and log every try under its id."""
