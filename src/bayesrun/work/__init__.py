"""What a worker does with one batch: make its datasets, draw, add the steps, summarise, write."""
