"""From words to a plan: configs become checked cells, keys and batches, and every mistake of a user ends here."""
