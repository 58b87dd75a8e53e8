"""`--help` of each command."""

import runpy
import sys

import pytest
from commands import git

from classifier.runner.params import STAGES


@pytest.mark.parametrize(
    "module",
    [
        *(f"stages.{stage}" for stage in STAGES),
        "apps.infer",
        "apps.demo",
        "apps.serve",
        "benchmarks.settings",
    ],
)
@pytest.mark.filterwarnings("ignore:.* found in sys.modules after import of package:RuntimeWarning")
def test_help(project, monkeypatch, capfd, module):
    """--help tells what a command does, with an example. It does nothing else."""

    def run_command(*args: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [module, *args])
        with pytest.raises(SystemExit) as exit_status:
            runpy.run_module(module, run_name="__main__", alter_sys=True)  # like `python -m`, in this process
        return exit_status.value.code, capfd.readouterr().out

    status, answer = run_command("--help")
    assert status == 0
    examples = {"apps.infer": "python -m apps.infer --file"}
    examples |= {"apps.demo": "make demo", "apps.serve": "make serve"}
    assert examples.get(module, "make settings" if "bench" in module else f"dvc repro {module[7:]}") in answer
    refusal = "infer: '--no-such-option': no such option; see --help, or put -- before texts that begin with a dash"
    assert run_command("--no-such-option")[0] == (refusal if module == "apps.infer" else 2)
    assert not (project / "models").exists()
    assert git("status", "--porcelain") == ""
