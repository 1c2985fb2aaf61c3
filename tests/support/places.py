"""Where the checkout is, and the modules that tests share."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
README = ROOT / "README.md"
CONF = ROOT / "conf"
