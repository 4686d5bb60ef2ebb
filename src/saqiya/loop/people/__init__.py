"""Who works on what: the desk between failures and people, who may do what, and what the books say of it."""
