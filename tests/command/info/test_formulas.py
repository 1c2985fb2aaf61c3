"""Formulas of docstrings are written as a terminal shows them."""

# ruff: noqa: RUF001 - Greek letters are what is wanted
import pytest

from bayesrun.command.info.formulas import formula_lines, in_text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"y_i \sim N(\theta_{g(i)}, \sigma_i)", "y_i ~ N(θ_g(i), σ_i)"),
        (r"N\left(\mu, \frac{\sigma}{\sqrt{1 - \phi^2}}\right)", "N(μ, σ / √(1 - φ²))"),
        (r"\log \frac{p_i}{1 - p_i} = \alpha + x_i^\top \beta", "log (p_i / (1 - p_i)) = α + x_iᵀ β"),
        (r"\mu_i = a + \sum_{k=1}^{d} b_k z_i^k", "μ_i = a + Σ_(k=1)^d b_k z_i^k"),
        (r"z = (x - \bar x) / s_x, \hat{y}^{-1}", "z = (x - x̄) / s_x, ŷ^(-1)"),
        (r"w \sim \mathrm{Weibull}(k, \lambda)", "w ~ Weibull(k, λ)"),
        (r"\binom{a_j}{b_j} = L z_j", "(a_j, b_j) = L z_j"),
        (r"\Phi(-x) \le \Omega \unheardof{2}", "Φ(-x) ≤ Ω unheardof2"),
        (r"\{a\}, \text{if so}", "{a}, if so"),
        (r"x^{", "x^()"),
        ("", ""),
    ],
)
def test_a_formula_in_a_line(latex, text):
    assert in_text(latex) == text


def test_relations_that_stand_apart_have_a_line_each():
    latex = r"""
        y &\sim N(\mu, 1), \quad
        \mu = L z, \\ L = \begin{pmatrix} s_1 & 0 \\ s_2 & 1 \end{pmatrix}, \qquad z \sim N(0, I)
    """
    assert formula_lines(latex) == ["y ~ N(μ, 1)", "μ = L z", "L = [s_1, 0; s_2, 1]", "z ~ N(0, I)"]
