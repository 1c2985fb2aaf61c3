"""The files that start pipelines: they agree with the pipelines and do what they say, with fakes for the schedulers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bayesrun.command.pipelines import find
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "pipelines"
SHIPPED = ("nightly_calibration", "weekly_recovery")
CRON_LINE = re.compile(r"(\S+ \S+ \S+ \S+ \S+) (\S.*)")


def tools(folder: Path, **scripts: str) -> Path:
    """A folder of commands for PATH, each a shell script that first writes down its words."""
    folder.mkdir()
    for name, body in scripts.items():
        path = folder / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $*" >>"{folder}/log"\n{body}\n')
        path.chmod(0o755)
    return folder


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


def shell(words: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words, env=os.environ | {"PATH": paths} | environment, capture_output=True, text=True, check=False, timeout=60
    )


# ---- cron


def cron_lines() -> dict[str, tuple[str, str]]:
    found = {}
    for line in (FOLDER / "cron" / "crontab").read_text().splitlines():
        match = CRON_LINE.fullmatch(line)
        if match and not line.startswith("#"):
            (name,) = re.findall(r"pipeline run (\w+)", line)
            found[name] = (match[1], match[2])
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_crontab_has_a_line_with_the_schedule_of_the_pipeline(name: str) -> None:
    schedule, command = cron_lines()[name]
    assert schedule == find(name).schedule
    assert "%" not in command, "cron ends a line there"


def test_crontab_has_no_other_line() -> None:
    assert set(cron_lines()) == set(SHIPPED)


@pytest.mark.parametrize(("code", "printed"), [(0, ""), (1, "the sentence\n"), (2, "the sentence\n")])
def test_cron_line_prints_the_last_line_of_a_run_that_is_not_good(code: int, printed: str, tmp_path: Path) -> None:
    checkout = tmp_path / "bayesrun"
    (checkout / ".venv/bin").mkdir(parents=True)
    command = checkout / ".venv/bin/bayesrun"
    command.write_text(f'#!/bin/sh\necho "$@"\necho the sentence >&2\nexit {code}\n')
    command.chmod(0o755)
    for name in SHIPPED:
        done = shell(["sh", "-c", cron_lines()[name][1]], tmp_path, HOME=str(tmp_path))
        assert (done.stdout, done.stderr) == (printed, "")
        assert (checkout / f"studies/{name}.log").read_text() == f"pipeline run {name}\nthe sentence\n"


# ---- Slurm


FAKE_SLURM = {
    "scontrol": "echo first; echo second",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; "$@"; exit 3',  # as a worker that was stopped ends
    "ray": (
        'if [ "$1" = get-auth-token ]; then echo secret; exit; fi\n'
        'if [ -n "${RAY_FAILS:-}" ]; then exit 0; fi\n'
        'while [ "$1" != -- ]; do shift; done; shift; "$@"'
    ),
    "bayesrun": (
        'for w in "$@"; do case $w in output.dir=*) o=${w#*=};; esac; done\n'
        'd="$o/$3/$5"; mkdir -p "$d"; echo "$3 $5: out of bounds" >&2\n'
        '[ -n "${STUDY_STOPS:-}" ] || echo "{}" >"$d/done.json"; exit 1'
    ),
}


def batch(name: str, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    slurm = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2", "OUTPUT": str(folder.parent / "out")}
    return shell(["bash", str(FOLDER / "slurm" / "batch.sh"), name, *words], folder, **slurm | environment)


@pytest.mark.parametrize("name", SHIPPED)
def test_slurm_batch_runs_the_pipeline_on_a_cluster_and_ends_with_its_verdict(name: str, tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", **FAKE_SLURM)
    done = batch(name, folder, "2026-11-22", "study.replicates=8")
    words = f"pipeline run {name} --date 2026-11-22 dispatch.address=auto output.dir={tmp_path}/out study.replicates=8"
    assert done.returncode == 1
    assert log(folder) == [
        "ray get-auth-token --generate",
        "scontrol show hostnames n[1-2]",
        f"srun --nodes=2 --ntasks=2 ray symmetric-run --address first:6379 --min-nodes 2 -- bayesrun {words}",
        f"ray symmetric-run --address first:6379 --min-nodes 2 -- bayesrun {words}",
        f"bayesrun {words}",
        f"bayesrun {words}",
    ]
    assert "secret" not in done.stdout + done.stderr


def test_slurm_batch_starts_no_cluster_for_a_finished_date(tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", **FAKE_SLURM)
    batch("nightly_calibration", folder, "2026-11-22")
    (folder / "log").unlink()
    assert batch("nightly_calibration", folder, "2026-11-22").returncode == 1
    assert [line.split()[0] for line in log(folder)] == ["bayesrun"]


@pytest.mark.parametrize("environment", [{"RAY_FAILS": "1"}, {"STUDY_STOPS": "1"}])
def test_slurm_batch_without_a_mark_is_not_good(environment: dict[str, str], tmp_path: Path) -> None:
    done = batch("nightly_calibration", tools(tmp_path / "bin", **FAKE_SLURM), "2026-11-22", **environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "nightly_calibration 2026-11-22: the study is not finished: there is no"
    )


def test_slurm_batch_without_a_name_is_refused(tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", **FAKE_SLURM)
    done = shell(["bash", str(FOLDER / "slurm" / "batch.sh")], folder)
    assert (done.returncode, log(folder)) == (2, [])
    assert done.stderr.startswith("usage: batch.sh NAME")


def test_slurm_batch_without_a_date_is_for_today(tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", date="echo 2026-11-23", **FAKE_SLURM)
    batch("weekly_recovery", folder)
    assert log(folder)[-1] == (
        f"bayesrun pipeline run weekly_recovery --date 2026-11-23 dispatch.address=auto output.dir={tmp_path}/out"
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_slurm_batch_has_its_nodes_alone_and_a_line_with_the_schedule_of_the_pipeline(name: str) -> None:
    lines = (FOLDER / "slurm" / "batch.sh").read_text().splitlines()
    assert "#SBATCH --exclusive" in lines
    (line,) = [line for line in lines if line.startswith(f"#   {find(name).schedule} ")]
    assert f" sbatch --job-name={name} " in line
    assert line.endswith(f' pipelines/slurm/batch.sh {name} "$(date -I)"')


# ---- Kubernetes


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "kubernetes" / f"{name}.yaml").read_text()))


def of_kind(name: str, kind: str) -> dict[str, Any]:
    (found,) = [item for item in manifests(name) if item["kind"] == kind]
    return found


def words(name: str) -> list[str]:
    """What the CronJob of a pipeline runs."""
    (container,) = of_kind(name, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return list(container["command"])


def ray_job(name: str) -> dict[str, Any]:
    """The RayJob of a date, as the script has to make it of the template."""
    text = of_kind("shared", "ConfigMap")["data"]["rayjob.yaml"]
    date, seconds = "2026-11-22", words(name)[-1]
    for place, value in {
        "JOB": f"{name.replace('_', '-')}-{date}",
        "NAME": name,
        "DATE": date,
        "SECONDS": seconds,
    }.items():
        text = text.replace(f"@{place}@", value)
    return dict(yaml.safe_load(text))


API = {
    "ConfigMap": "v1",
    "CronJob": "batch/v1",
    "PersistentVolumeClaim": "v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "ServiceAccount": "v1",
}


def test_kubernetes_objects_have_the_versions_of_their_kinds_and_names_of_their_own() -> None:
    objects = [item for name in ("shared", *SHIPPED) for item in manifests(name)]
    assert {item["kind"]: item["apiVersion"] for item in objects} == API
    named = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) for _, name in named)


@pytest.mark.parametrize("name", SHIPPED)
def test_cronjob_is_one_at_a_time_by_the_schedule_of_the_pipeline(name: str) -> None:
    spec = of_kind(name, "CronJob")["spec"]
    assert spec["schedule"] == find(name).schedule
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == of_kind("shared", "ServiceAccount")["metadata"]["name"]
    assert [volume["configMap"]["name"] for volume in pod["volumes"]] == [
        of_kind("shared", "ConfigMap")["metadata"]["name"]
    ]
    mounted = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"]: "/pipeline" for volume in pod["volumes"]}


@pytest.mark.parametrize("name", SHIPPED)
def test_ray_job_runs_the_pipeline_of_a_date_once(name: str) -> None:
    job = ray_job(name)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"] == f"{name.replace('_', '-')}-2026-11-22"
    assert len(job["metadata"]["name"]) <= 47, "KubeRay adds to the name, and refuses longer ones"
    spec = job["spec"]
    assert spec["jobId"] == f"{name}-2026-11-22"
    assert shlex.split(spec["entrypoint"]) == [
        *("bayesrun", "pipeline", "run", name, "--date", "2026-11-22"),
        *("dispatch.address=auto", "track=off", "output.dir=/studies"),
    ]
    assert spec["shutdownAfterJobFinishes"] is True
    deadline = of_kind(name, "CronJob")["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert spec["activeDeadlineSeconds"] < deadline, "the one that waits ends last"


@pytest.mark.parametrize("name", SHIPPED)
def test_head_and_workers_write_to_the_folder_that_they_share(name: str) -> None:
    cluster = ray_job(name)["spec"]["rayClusterSpec"]
    claim = of_kind("shared", "PersistentVolumeClaim")["metadata"]["name"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    assert len(pods) == 2
    for pod in pods:
        (volume,) = pod["volumes"]
        (container,) = pod["containers"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/studies"}]


def test_the_account_may_do_what_the_script_does() -> None:
    (rule,) = of_kind("shared", "Role")["rules"]
    assert (rule["apiGroups"], rule["resources"]) == (["ray.io"], ["rayjobs"])
    script = of_kind("shared", "ConfigMap")["data"]["create.sh"]
    assert set(re.findall(r"kubectl (\w+)", script)) == set(rule["verbs"])


FAKE_KUBECTL = """
folder=$(dirname "$0")
case "$1 ${*: -1}" in
    "get name") [ ! -f "$folder/job.yaml" ] || echo "rayjob.ray.io/$3" ;;
    "create -") cat >"$folder/job.yaml" ;;
    *jobDeploymentStatus*)
        echo . >>"$folder/asked"
        if [ "$(wc -l <"$folder/asked")" -lt 3 ]; then printf Running; else printf "$DEPLOYMENT"; fi ;;
    *jobStatus*) printf "$STATUS" ;;
    *message*) printf "told" ;;
esac
"""


def create(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the CronJob as the pod would, with the files of the config map where it reads them."""
    for file, text in of_kind("shared", "ConfigMap")["data"].items():
        (folder / file).write_text(text.replace("/pipeline/", f"{folder}/"))
    command = [word.replace("/pipeline/", f"{folder}/") for word in words(name)]
    return shell(command, folder, POLL_SECONDS="0", DATE="2026-11-22", **environment)


@pytest.mark.parametrize("name", SHIPPED)
def test_script_creates_the_job_of_the_date_waits_and_ends_as_it_does(name: str, tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", kubectl=FAKE_KUBECTL)
    done = create(name, folder, DEPLOYMENT="Complete", STATUS="SUCCEEDED")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{name.replace('_', '-')}-2026-11-22: SUCCEEDED told\n"
    assert yaml.safe_load((folder / "job.yaml").read_text()) == ray_job(name)
    assert (folder / "asked").read_text().count(".") == 3


@pytest.mark.parametrize(
    ("deployment", "status"),
    [("Failed", "FAILED"), ("Complete", "STOPPED"), ("ValidationFailed", ""), ("Failed", "")],
)
def test_script_ends_with_1_for_every_other_end(deployment: str, status: str, tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", kubectl=FAKE_KUBECTL)
    done = create("nightly_calibration", folder, DEPLOYMENT=deployment, STATUS=status)
    assert done.returncode == 1


def test_second_pod_of_a_date_waits_for_the_job_that_is_there(tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", kubectl=FAKE_KUBECTL)
    for _ in range(2):
        assert create("nightly_calibration", folder, DEPLOYMENT="Complete", STATUS="SUCCEEDED").returncode == 0
    assert len([line for line in log(folder) if line.startswith("kubectl create")]) == 1


def test_cronjobs_of_the_pipelines_differ_in_name_schedule_and_size_only() -> None:
    texts = []
    for name in SHIPPED:
        text = (FOLDER / "kubernetes" / f"{name}.yaml").read_text()
        for own, word in {name.replace("_", "-"): "NAME", name: "NAME", name.replace("_", " "): "NAME"}.items():
            text = text.replace(own, word)
        text = text.replace(find(name).schedule, "SCHEDULE").replace(words(name)[-1], "SECONDS")
        texts.append(re.sub(r"(eadlineSeconds: )\S+", r"\1N", text))
    assert texts[0] == texts[1]


# ---- Ray jobs


FAKE_RAY = """
case "$2" in
    submit) exit "$SUBMIT" ;;
    status) echo "Job 'nightly_calibration-2026-11-22' $STATUS" ;;
esac
"""


def submit(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return shell([str(FOLDER / "ray" / "submit.sh"), *words], folder, **environment)


def test_submitted_job_has_an_id_for_each_date_and_absolute_paths(tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", ray=FAKE_RAY)
    words = ("nightly_calibration", "2026-11-22", "/out", "study.replicates=8")
    assert submit(folder, *words, SUBMIT="0", STATUS="succeeded").returncode == 0
    assert log(folder) == [
        "ray job submit --submission-id nightly_calibration-2026-11-22 -- bayesrun pipeline run nightly_calibration "
        "--date 2026-11-22 dispatch.address=auto output.dir=/out study.replicates=8",
        "ray job status nightly_calibration-2026-11-22",
    ]


@pytest.mark.parametrize(("code", "status"), [("1", "failed"), ("0", "was stopped")])
def test_job_that_did_not_succeed_is_not_good(code: str, status: str, tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", ray=FAKE_RAY)
    assert submit(folder, "nightly_calibration", "2026-11-22", "/out", SUBMIT=code, STATUS=status).returncode == 1


@pytest.mark.parametrize(
    "words", [(), ("nightly_calibration", "2026-11-22"), ("nightly_calibration", "2026-11-22", "out")]
)
def test_submission_without_an_absolute_folder_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = tools(tmp_path / "bin", ray=FAKE_RAY)
    done = submit(folder, *words, SUBMIT="0", STATUS="succeeded")
    assert (done.returncode, log(folder)) == (2, [])
    assert done.stderr.startswith("usage: ")


def test_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.suffix != ".pyc" and path.name != "README.md":
            assert path.relative_to(FOLDER).as_posix() in text, path
