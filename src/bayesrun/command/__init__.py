"""What people type: the command, its verbs, Hydra's overrides, pipelines, and the way of a study through the stages."""
