"""What is told: tables, comparisons, the page, MLflow's runs and the verdict of a study, made from stored fits."""
