"""Stands in for `bayesrun` where a pipeline is under test: the folder of a study in milliseconds, without a fit.

Run as ``python -S fake_pipelines.py CONTROL WORDS...``. In the folder CONTROL, ``behaviour.json`` says how the study
ends, ``template/`` is what it leaves, ``go`` is waited for, and every call adds its words to ``calls.jsonl``.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    control, *words = sys.argv[1:]
    home = Path(control)
    with (home / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    behaviour = json.loads((home / "behaviour.json").read_text())
    given = dict(word.split("=", 1) for word in words if "=" in word)
    study = Path(given["output.dir"].strip("'")) / given["study.name"]
    if behaviour.get("template", True) and given.get("dry_run") != "true":
        shutil.copytree(home / "template", study, dirs_exist_ok=True)
    while not (home / "go").exists() and behaviour.get("waits"):
        time.sleep(0.02)
    if behaviour.get("signal"):
        os.kill(os.getpid(), behaviour["signal"])
    if behaviour.get("report", True):
        aside = study / ".report"
        aside.write_text("<html>")
        aside.replace(study / "report.html")
    sys.exit(behaviour.get("code", 0))
