"""The HTML page of a simulation study; it writes down what it is given and computes no measure."""

from bayesrun.report.page.html import Ademp, Sentence, StudyReport, render_report, write_report

__all__ = ["Ademp", "Sentence", "StudyReport", "render_report", "write_report"]
