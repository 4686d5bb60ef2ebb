"""The pages, one file a page: each has a `router` that `server/app.py` lists."""
