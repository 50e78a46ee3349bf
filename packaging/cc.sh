#!/bin/sh
# A linker for cargo, by the compiler in CROSSFOOT_CC (cc by default), for toolchains with GNU's ld.
#
# preload/build.rs exports a few names from the shared object alone, by --defsym and a second version script beside that of
# the Rust compiler. lld takes that. GNU's ld takes one version script, and gives a name that --defsym makes the visibility
# of its symbol, which is hidden. So this script makes one version script of the two, and the names by jumps.
set -eu

first='' second=''
for argument; do
    case $argument in
    -Wl,--version-script=*)
        if [ -z "$first" ]; then first=${argument#*=}; else second=${argument#*=}; fi
        ;;
    esac
done
if [ -n "$second" ]; then
    # One line, as { global: dlopen; _exit; };
    names=$(sed -n 's/.*global:\(.*\)};.*/\1/p' "$second")
    [ -n "$names" ] || { echo "cc.sh: no names in $second" >&2; exit 1; }
    sed "s/global:/global: $names/" "$first" >"$first.merged"
    printf '.section .note.GNU-stack,"",@progbits\n.text\n' >"$first.s"
    # Takes each argument from the front and puts it at the end.
    for argument; do
        shift
        case $argument in
        "-Wl,--version-script=$first") set -- "$@" "$argument.merged" "$first.s" ;;
        "-Wl,--version-script=$second") ;;
        -Wl,--defsym=*)
            name=${argument#*=} name=${name%=*}
            case " $names" in
            *" $name;"*)
                printf '.globl %s\n.type %s, @function\n%s: jmp %s\n' "$name" "$name" "$name" "${argument##*=}" >>"$first.s"
                ;;
            *) set -- "$@" "$argument" ;;
            esac
            ;;
        *) set -- "$@" "$argument" ;;
        esac
    done
fi
# CROSSFOOT_CC may be a compiler with options.
# shellcheck disable=SC2086
exec ${CROSSFOOT_CC:-cc} "$@"
