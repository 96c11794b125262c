"""What a shell offers after Tab, for bash, zsh and fish, made of the parser: `tc-micro completion SHELL`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from tcmicro_agent.cli.arguments import Adder, examples
from tcmicro_agent.cli.grammar import FILES, Node, Option, nodes
from tcmicro_agent.cli.parser import parser
from tcmicro_agent.cli.verbs import Result

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """The role tcmicro_agent installs all three.

examples:
  . <(tc-micro completion bash)
  tc-micro completion zsh > ~/.zfunc/_tc-micro
  tc-micro completion fish > ~/.config/fish/completions/tc-micro.fish
"""
BASH = """\
# bash completion of tc-micro, written by: tc-micro completion bash
_tc_micro() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} at="" n words="" files=""
    COMPREPLY=()
    for ((n = 1; n < COMP_CWORD; n++)); do
        case "$at ${COMP_WORDS[n]}" in
%(paths)s) at="$at ${COMP_WORDS[n]}" ;;
        esac
    done
    case "$at:$before" in
%(values)s
    *) case "$at" in
%(words)s
        esac ;;
    esac
    [[ $current == -* || -z $files ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
    [[ -z $words ]] || mapfile -O "${#COMPREPLY[@]}" -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o filenames -F _tc_micro tc-micro
"""
ZSH = """\
#compdef tc-micro
# zsh completion of tc-micro, written by: tc-micro completion zsh
_tc_micro() {
    local at="" n before=${words[CURRENT-1]}
    local -a verbs options
    for ((n = 2; n < CURRENT; n++)); do
        case "$at ${words[n]}" in
%(paths)s) at="$at ${words[n]}" ;;
        esac
    done
    case "$at:$before" in
%(values)s
    esac
    case "$at" in
%(words)s
    esac
}
if [[ $funcstack[1] == _tc_micro ]]; then _tc_micro "$@"; else compdef _tc_micro tc-micro; fi
"""
FISH = """\
# fish completion of tc-micro, written by: tc-micro completion fish
function __tc_micro_at
    set -l at ""
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case %(paths)s
                set at "$at $word"
        end
    end
    test "$at" = "$argv"
end
complete -c tc-micro -f
"""


def add_verb(add: Adder) -> None:
    verb = add("completion", complete, "what a shell offers after Tab")
    examples(verb, EXAMPLES)
    verb.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def complete(args: argparse.Namespace) -> Result:
    print(script(args.shell, list(nodes(parser()))), end="")
    return {}, 0


def script(shell: str, found: Sequence[Node]) -> str:
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](found)


def bash(found: Sequence[Node]) -> str:
    values = [
        f"    {_case(node, option)}) {_bash_value(option)} ;;" for node, option in _valued(found)
    ]
    words = []
    for node in found:
        offered = " ".join([*_verbs(node), *_options(node), *_choices(node)])
        files = " files=1" if _takes_files(node) else ""
        words.append(f'        "{_at(node)}") words="{offered}"{files} ;;')
    return BASH % {"paths": _paths(found), "values": "\n".join(values), "words": "\n".join(words)}


def _bash_value(option: Option) -> str:
    if option.choices:
        return f'words="{" ".join(option.choices)}"'
    return "files=1" if option.value in FILES else ":"


def zsh(found: Sequence[Node]) -> str:
    values = [
        f"    {_case(node, option)}) {_zsh_value(option)}; return ;;"
        for node, option in _valued(found)
    ]
    words = []
    for node in found:
        verbs = " ".join(_quoted(f"{name}:{text}") for name, text in node.verbs)
        options = " ".join(
            _quoted(f"{name}:{option.help}") for option in node.options for name in option.names
        )
        parts = [f"verbs=({verbs}); _describe verb verbs"] if verbs else []
        parts += [f"compadd -- {' '.join(_choices(node))}"] if _choices(node) else []
        parts += ["_files"] if _takes_files(node) else []
        parts.append(f"options=({options}); _describe -o option options")
        words.append(f'    "{_at(node)}") {"; ".join(parts)} ;;')
    return ZSH % {"paths": _paths(found), "values": "\n".join(values), "words": "\n".join(words)}


def _zsh_value(option: Option) -> str:
    if option.choices:
        return f"compadd -- {' '.join(option.choices)}"
    return "_files" if option.value in FILES else f"_message {_quoted(option.value)}"


def fish(found: Sequence[Node]) -> str:
    paths = " ".join(f'"{_at(node)}"' for node in found if node.path)
    return FISH % {"paths": paths} + "".join(line for node in found for line in _fish_lines(node))


def _fish_lines(node: Node) -> Iterator[str]:
    here = f"complete -c tc-micro -n '__tc_micro_at \"{_at(node)}\"'"
    for name, text in node.verbs:
        yield f"{here} -a {name} -d {_fish_quoted(text)}\n"
    if _choices(node):
        yield f"{here} -a {_fish_quoted(' '.join(_choices(node)))}\n"
    if _takes_files(node):
        yield f"{here} -F\n"
    for option in node.options:
        names = [f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names]
        takes = ""
        if option.choices:
            takes = f" -x -a {_fish_quoted(' '.join(option.choices))}"
        elif option.value:
            takes = " -r -F" if option.value in FILES else " -x"
        yield f"{here} {' '.join(names)}{takes} -d {_fish_quoted(option.help)}\n"


def _valued(found: Sequence[Node]) -> Iterator[tuple[Node, Option]]:
    """Options whose value comes next; one that may be left out does not keep words away."""
    for node in found:
        for option in node.options:
            if option.value:
                yield node, option


def _case(node: Node, option: Option) -> str:
    return "|".join(f'"{_at(node)}:{name}"' for name in option.names)


def _paths(found: Sequence[Node]) -> str:
    return "        " + "|".join(f'"{_at(node)}"' for node in found if node.path)


def _at(node: Node) -> str:
    return "".join(f" {word}" for word in node.path)


def _verbs(node: Node) -> list[str]:
    return [name for name, _ in node.verbs]


def _options(node: Node) -> list[str]:
    return [name for option in node.options for name in option.names]


def _choices(node: Node) -> list[str]:
    return [choice for word in node.words for choice in word.choices]


def _takes_files(node: Node) -> bool:
    return any(word.name in FILES for word in node.words)


def _quoted(text: str) -> str:
    """For zsh; a colon parts a word from what it means."""
    name, _, meaning = text.partition(":")
    return "'" + f"{name}:{meaning}".replace("'", "'\\''") + "'" if meaning else f"'{name}'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
