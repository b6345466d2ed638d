import json
import os
import platform

from kerastrain._core import machine


def test_facts_are_plain_and_true_here():
    facts = machine.facts()
    json.dumps(facts, allow_nan=False)
    assert facts["processor"]
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert set(facts["flags"]) <= machine.cpu_flags()
    assert facts["memory_gib"] > 0


def test_versions_are_those_installed():
    versions = machine.versions()
    assert versions["python"] == platform.python_version()
    assert {"keras", "numpy", "kerastrain"} <= set(versions)


def test_no_cpuinfo_is_no_error(monkeypatch):
    monkeypatch.setattr(machine.pathlib.Path, "read_text", lambda *args, **kwargs: (_ for _ in ()).throw(OSError()))
    assert machine.cpu_flags() == frozenset()
