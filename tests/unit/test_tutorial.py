"""The tutorial as a script: which fences are commands, and what stops it."""

from __future__ import annotations

import subprocess

from tools.tutorial.script import blocks, script

PAGE = """\
# A page
## 1. First
```sh
place=here
```

```
what it prints
```
## 2. Second
```
$ echo $place
here
$ echo two; echo lines
two
lines
```
"""


def bash(text):
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=20)


def test_commands_are_those_of_sh_and_after_a_prompt():
    found = [(block.heading, block.commands, block.shown) for block in blocks(PAGE)]
    assert found == [
        ("1. First", "place=here\n", None),
        ("2. Second", "echo $place\n", "here"),
        ("2. Second", "echo two; echo lines\n", "two\nlines"),
    ]


def test_later_blocks_find_what_earlier_ones_left():
    done = bash(script(PAGE))
    assert done.returncode == 0, done.stderr
    assert "2. Second: echo two; echo lines" in done.stdout


def test_other_output_than_the_page_shows_stops_it():
    done = bash(script(PAGE.replace("\nhere\n", "\nthere\n")))
    assert (done.returncode, done.stderr) == (1, "printed here, and the page says there\n")


def test_command_that_fails_stops_it():
    done = bash(script(PAGE.replace("place=here", "false")))
    assert done.returncode == 1
    assert "2. Second" not in done.stdout


def test_of_the_page_every_block_is_a_command_or_an_output(root):
    page = (root / "docs/tutorial.md").read_text()
    headings = {block.heading[:1] for block in blocks(page)}
    assert headings == set("123456")
    assert sum(block.shown is not None for block in blocks(page)) == 2
