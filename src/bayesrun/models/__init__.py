"""The shipped models: one file each, with `build(data, **params) -> pm.Model` and the roles it needs in `DATA`."""
