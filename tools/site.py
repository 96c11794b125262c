"""`make docs`: docs/ and the collection's plugins and roles as one site, build/site. A warning fails it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from tools.collection.__main__ import BUILD, build
from tools.process import ToolError, run

ROOT = Path(__file__).resolve().parents[1]
SOURCE, SITE = BUILD / "site-source", BUILD / "site"
COLLECTION = "tcmicro.fleet"
CONFIGURATION = """\
project = "tcmicro"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_show_sphinx = False
html_copy_source = False
# docs/errors.md shows a file that is not YAML
suppress_warnings = ["misc.highlighting_failure"]
"""
ANCHOR = re.compile(r'(?m)^<a id="(\S+)"></a>$')
# What the pages of antsibull-docs refer to in Ansible's own documentation.
ANSIBLE = """\
:orphan:

.. _common_return_values:
.. _action_plugins:
.. _callback_plugins:
.. _inventory_plugins:
.. _ansible_configuration_settings:

In Ansible's documentation
==========================

Return values that all modules share, kinds of plugins, and settings are explained by Ansible itself.

.. envvar:: NO_COLOR

   Whether colours are left out.
"""
CONTENTS = """\
# tcmicro

eBPF micro-segmentation for fleets of Linux hosts, rolled out with Ansible.

```{toctree}
:maxdepth: 1
:caption: Begin

tutorial
```

```{toctree}
:maxdepth: 1
:caption: Use
:glob:

*
```

```{toctree}
:maxdepth: 1
:caption: The collection

collection/index
```

```{toctree}
:maxdepth: 1
:caption: Runbooks of the alerts
:glob:

runbooks/*
```

```{toctree}
:maxdepth: 1
:caption: Decisions
:glob:

adr/*
```
"""


def write_pages(source: Path) -> None:
    """The pages as they are in docs/, and what holds them together."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    for path in source.rglob("*.md"):
        path.write_text(ANCHOR.sub(r"(\1)=", path.read_text()))
    for name, text in (
        ("conf.py", CONFIGURATION),
        ("ansible.rst", ANSIBLE),
        ("index.md", CONTENTS),
    ):
        (source / name).write_text(text)


def write_collection(source: Path) -> None:
    """A page for each plugin and role, of the collection as it is shipped."""
    build(ROOT, "0.0.0", BUILD / "site-collection")
    known = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "site-collection/collection")}
    target = source / "collection"
    target.mkdir()
    options = ["--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", str(target)]
    run(["antsibull-docs", "collection", *options, COLLECTION], env=known)


def main() -> int:
    try:
        write_pages(SOURCE)
        write_collection(SOURCE)
        shutil.rmtree(SITE, ignore_errors=True)
        run(["sphinx-build", "-q", "-W", "--keep-going", "-b", "html", str(SOURCE), str(SITE)])
    except ToolError as exc:
        print(f"docs: {exc}", file=sys.stderr)
        return 1
    print(f"built {(SITE / 'index.html').relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
