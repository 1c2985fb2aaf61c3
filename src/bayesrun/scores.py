"""placeholder"""
def score(summary, tree, case, kind): return summary
