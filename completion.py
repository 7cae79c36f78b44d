"""`xtalseek completion`: scripts by which bash, zsh and fish complete its words, made from the command's own parser."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .arguments import build_parser
from .errors import unknown

_IS_FILE = re.compile(r"(FILE|X|DIR|FOLDER|PATH|CKPT|CONFIG|RUN|CAMPAIGN)(\.\w+)?")
"""Metavars that stand for a file or folder."""


@dataclass(frozen=True)
class Word:
    """An option, or a place for words that are none.

    Attributes
    ----------
    names : of an option, such as ("--num", "-n"); empty: a place.
    metavar : what the value is called; empty: it takes none.
    help : one line. choices : all values there are; empty: any. many : of one value or more.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False

    @property
    def takes_file(self) -> bool:
        """Whether its value is a file or folder."""
        return not self.choices and _IS_FILE.fullmatch(self.metavar) is not None


@dataclass(frozen=True)
class Verb:
    """A verb: its name, one line of help, and its options and places."""

    name: str
    help: str
    words: tuple[Word, ...]

    @property
    def options(self) -> tuple[Word, ...]:
        """Those with a name."""
        return tuple(word for word in self.words if word.names)

    @property
    def places(self) -> tuple[Word, ...]:
        """Those without."""
        return tuple(word for word in self.words if not word.names)


def completion_script(shell: str) -> str:
    """The script for a shell, to be sourced by it or put where it looks for such.

    Parameters
    ----------
    shell : "bash", "zsh" or "fish".

    Raises
    ------
    InputError : another shell.
    """
    if shell not in _SCRIPTS:
        raise unknown("shell", shell, _SCRIPTS)
    return _SCRIPTS[shell](known_verbs())


def known_verbs() -> list[Verb]:
    """The verbs of the command line in their order, with their options and places."""
    parser, parsers = build_parser()
    (listed,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    texts = {entry.dest: _plain(entry.help) for entry in listed._choices_actions}
    return [Verb(name, texts[name], _words(parsers[name])) for name in parsers]


def _words(parser: argparse.ArgumentParser) -> tuple[Word, ...]:
    words = []
    for action in parser._actions:
        takes_value = action.nargs != 0
        metavar = str(action.metavar or action.dest.upper()) if takes_value else ""
        choices = tuple(str(choice) for choice in action.choices or ())
        many = action.nargs in ("+", "*")
        words.append(Word(tuple(action.option_strings), metavar, _plain(action.help), choices, many))
    return tuple(words)


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def _bash(verbs: Sequence[Verb]) -> str:
    """Where nothing is set as an answer, `-o default` lets bash complete files in its own way."""
    cases = [line for verb in verbs for line in _bash_case(verb)]
    return "\n".join([
        "# xtalseek in bash: source <(xtalseek completion bash), or for good",
        "# xtalseek completion bash > ~/.local/share/bash-completion/completions/xtalseek",
        "_xtalseek() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="" options="" answers="" free=""',
        '    (( COMP_CWORD > 0 )) && before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    # --option=value comes as three words.",
        '    if [[ "$word" == "=" ]]; then',
        '        word=""',
        '    elif [[ "$before" == "=" ]] && (( COMP_CWORD > 1 )); then',
        '        before="${COMP_WORDS[COMP_CWORD-2]}"',
        "    fi",
        "    COMPREPLY=()",
        "    if (( COMP_CWORD <= 1 )); then",
        f'        answers="{" ".join(verb.name for verb in verbs)}"',
        '        [[ "$word" == -* ]] && answers="--help --version"',
        "    else",
        '        case "${COMP_WORDS[1]}" in',
        *cases,
        "        esac",
        '        [[ "$word" == -* && -z "$answers$free" ]] && answers="$options"',
        "    fi",
        '    if [[ -n "$answers" ]]; then',
        '        COMPREPLY=( $(compgen -W "$answers" -- "$word") )',
        "    fi",
        '    [[ -n "$answers$free" ]] && compopt +o default 2>/dev/null',
        "    return 0",
        "}",
        "complete -o default -F _xtalseek xtalseek",
    ])  # fmt: skip


def _bash_case(verb: Verb) -> list[str]:
    """What is known of a verb's words: its options, and by the word before what answers there are."""
    names = " ".join(sorted(name for word in verb.options for name in word.names if name.startswith("--")))
    lines = [f"            {verb.name})", f'                options="{names}"', '                case "$before" in']
    for word in verb.options:
        if word.choices:
            lines.append(f'                    {"|".join(word.names)}) answers="{" ".join(word.choices)}" ;;')
    free = [name for word in verb.options if word.metavar and not word.takes_file and not word.choices
            for name in word.names]  # fmt: skip
    if free:
        lines.append(f"                    {'|'.join(free)}) free=1 ;;")
    first = verb.places[0] if verb.places else None
    if first is not None and first.choices:
        lines.append(f'                    {verb.name}) answers="{" ".join(first.choices)}" ;;')
    elif first is not None and not first.takes_file:
        lines.append(f'                    {verb.name}) [[ "$word" == -* ]] || free=1 ;;')
    return [*lines, "                esac ;;"]


def _zsh(verbs: Sequence[Verb]) -> str:
    lines = [
        "#compdef xtalseek",
        "# xtalseek in zsh: source <(xtalseek completion zsh) after compinit, or for good",
        "# xtalseek completion zsh > FOLDER/_xtalseek, with FOLDER in $fpath.",
        "_xtalseek() {",
        '    local curcontext="$curcontext" state line ret=1',
        "    typeset -A opt_args",
        "    local -a verbs=(",
        *(f"        {_quoted(f'{verb.name}:{verb.help}')}" for verb in verbs),
        "    )",
        "    _arguments -C '(- *)'{-h,--help}'[show the help]' '(- *)--version[show the version]' \\",
        "        '1:verb:->verb' '*::word:->word' && ret=0",
        '    case "$state" in',
        "        verb) _describe -t verbs verb verbs && ret=0 ;;",
        '        word) case "$line[1]" in',
    ]
    for verb in verbs:
        specs = [spec for word in verb.words for spec in _zsh_specs(word)]
        lines += [
            f"            {verb.name}) _arguments \\",
            *(f"                {spec} \\" for spec in specs),
            "                && ret=0 ;;",
        ]
    return "\n".join([
        *lines,
        "        esac ;;",
        "    esac",
        "    return ret",
        "}",
        'if [[ "$funcstack[1]" == _xtalseek ]]; then _xtalseek "$@"; else compdef _xtalseek xtalseek; fi',
    ])  # fmt: skip


def _zsh_specs(word: Word) -> list[str]:
    """The arguments of zsh's `_arguments` for an option or a place."""
    action = "_files" if word.takes_file else f"({' '.join(word.choices)})" if word.choices else " "
    value = f":{_zsh_escaped(word.metavar)}:{action}" if word.metavar else ""
    if not word.names:
        return [_quoted(f"*{value}" if word.many else value)]
    # Of several values `*:` would take all that follows, options too; one by one each is complete.
    return [_quoted(f"{name}[{_zsh_escaped(word.help)}]{value}") for name in word.names]


def _zsh_escaped(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _fish(verbs: Sequence[Verb]) -> str:
    lines = [
        "# xtalseek in fish: xtalseek completion fish | source, or for good",
        "# xtalseek completion fish > ~/.config/fish/completions/xtalseek.fish",
        "function __xtalseek_verb",
        "    set -l words (commandline -opc)",
        "    if test (count $argv) -eq 0",
        "        test (count $words) -eq 1",
        "    else",
        '        test (count $words) -gt 1; and test "$words[2]" = "$argv[1]"',
        "    end",
        "end",
        "complete -c xtalseek -f",
        "complete -c xtalseek -n __xtalseek_verb -l help -s h -d 'show the help'",
        "complete -c xtalseek -n __xtalseek_verb -l version -d 'show the version'",
    ]
    for verb in verbs:
        lines.append(f"complete -c xtalseek -n __xtalseek_verb -a {verb.name} -d {_fish_quoted(verb.help)}")
    for verb in verbs:
        begin = f"complete -c xtalseek -n '__xtalseek_verb {verb.name}'"
        for word in verb.words:
            names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in word.names]
            # -r: a value follows; -F: it is a file; -f: it is none.
            needs = ["-r -F" if word.takes_file else "-r -f"] if word.metavar and word.names else []
            needs += ["-F"] if word.takes_file and not word.names else []
            needs += [f"-a {_fish_quoted(' '.join(word.choices))}"] if word.choices else []
            if not (names or needs):
                continue
            text = [f"-d {_fish_quoted(word.help)}"] if names else []
            lines.append(" ".join([begin, *names, *needs, *text]))
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return shlex.quote(text)


def _fish_quoted(text: str) -> str:
    """In fish's single quotes only the backslash and the quote itself are special."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Mapping[str, Callable[[Sequence[Verb]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
