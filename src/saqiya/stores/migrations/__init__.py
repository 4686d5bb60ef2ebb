"""The catalog's migrations, run by `stores.database` when a catalog is opened."""
