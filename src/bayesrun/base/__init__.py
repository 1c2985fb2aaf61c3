"""Words that everyone needs: seeds, imports, labels, spelling, numbers in text; they know no stage."""
