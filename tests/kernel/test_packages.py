"""Packages of eunomia-bpf run as they stand: what they say is what happens."""

from __future__ import annotations

import base64
import json
import subprocess
import zlib

import pytest

from skep.session import api


@pytest.fixture
def package(program, tmp_path):
    """package(*programs): the path of a package; of its two programs, these are to be attached."""

    def write(*linked: str) -> str:
        data = program("packaged").data
        meta = {
            "bpf_skel": {
                "obj_name": "calls_bpf",
                "doc": {"description": "Watches files that are removed."},
                "data_sections": [
                    {
                        "name": ".rodata",
                        "variables": [
                            {
                                "name": "most",
                                "type": "u32",
                                "description": "The last call that counts",
                                "cmdarg": {"default": 2, "long": "last", "short": "l"},
                            }
                        ],
                    }
                ],
                "maps": [{"name": "rb", "ident": "rb"}],
                "progs": [
                    {"name": "first", "attach": "tp/syscalls/sys_enter_unlinkat", "link": "first" in linked},
                    {"name": "second", "attach": "tp/syscalls/sys_exit_unlinkat", "link": "second" in linked},
                ],
            },
            "export_types": [{"name": "event", "type_id": 3, "size": 24, "members": []}],
        }
        path = tmp_path / "package.json"
        packed = base64.b64encode(zlib.compress(data)).decode()
        path.write_text(json.dumps({"bpf_object": packed, "bpf_object_size": len(data), "meta": meta}))
        return str(path)

    return write


@pytest.fixture
def run(skep):
    """run(*arguments): what `skep run` shows of `rm`, and what it says."""

    def show(path, *arguments):
        finished = subprocess.run(
            [*skep, "run", path, "-o", "json", *arguments, "--", "rm", "-f", "/nowhere"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()], finished.stderr

    return show


@pytest.mark.floors("6.12", "6.1")
def test_a_package_shows_typed_rows(package, run):
    events, told = run(package("first", "second"))

    assert [(event["call"], event["comm"]) for event in events] == [(1, "rm"), (2, "rm")]
    assert len({event["pid"] for event in events}) == 1
    assert "2 programs attached" in told


def test_the_options_of_a_package_have_its_names(package, run):
    path = package("first", "second")

    for option in ("--last", "-l"):
        events, _ = run(path, option, "1")
        assert [event["call"] for event in events] == [1]


def test_a_program_that_a_package_does_not_link_is_not_attached(package, run):
    events, told = run(package("second"))

    assert [event["call"] for event in events] == [2]
    assert "1 program attached" in told
    assert "first" in told


def test_a_package_is_opened_from_python(package):
    spec = api.open(package("first"))

    assert (spec.name, spec.description) == ("calls", "Watches files that are removed.")
    with spec.load() as loaded, loaded.attach() as links:
        assert list(links) == ["first"]
