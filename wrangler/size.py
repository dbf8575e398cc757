"""What takes the space of a built Worker: by section, and by crate for the code.

Usage: size.py <name> <wasm with names> <wasm as it ships>

A function belongs to the crate that its name begins with. Generic code counts where it is defined (a map's insertion under
alloc), and what the optimiser put into a caller counts with the caller: of async handlers that is most of a Worker, under
"handlers". Gzipped sizes are of each part alone, so that their sum is a little more than the whole.
"""

import collections
import gzip
import re
import sys

HANDLERS = ("js_sys::futures", "<core::panic::unwind_safe")
SHOWN = 20


def number(data, at):
    """A LEB128 number, and where it ends."""
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, at


def text(data, at):
    length, at = number(data, at)
    return data[at : at + length].decode(), at + length


def sections(data):
    at = 8
    while at < len(data):
        kind = data[at]
        length, at = number(data, at + 1)
        yield kind, data[at : at + length]
        at += length


def limits(data, at):
    flags = data[at]
    _, at = number(data, at + 1)
    return number(data, at)[1] if flags & 1 else at


def imported_functions(data):
    """How many functions come before the module's own."""
    count, at = number(data, 0)
    functions = 0
    for _ in range(count):
        _, at = text(data, at)
        _, at = text(data, at)
        kind, at = data[at], at + 1
        if kind == 0:
            functions += 1
            _, at = number(data, at)
        elif kind == 1:
            at = limits(data, at + 1)
        elif kind == 2:
            at = limits(data, at)
        elif kind == 3:
            at += 2
        else:
            _, at = number(data, at + 1)
    return functions


def bodies(data):
    count, at = number(data, 0)
    for _ in range(count):
        length, at = number(data, at)
        yield data[at : at + length]
        at += length


def function_names(data):
    """The subsection 1 of the name section."""
    _, at = text(data, 0)
    names = {}
    while at < len(data):
        kind = data[at]
        length, at = number(data, at + 1)
        end = at + length
        if kind == 1:
            count, at = number(data, at)
            for _ in range(count):
                index, at = number(data, at)
                names[index], at = text(data, at)
        at = end
    return names


def crate(name):
    if name.startswith(HANDLERS):
        return "handlers"
    # Of <T as Trait> the trait says more than T, where T is no path.
    name = re.sub(r"^<+(?:&|mut |\[|\(|dyn )*[A-Za-z0-9_]+ as ", "", name)
    found = re.match(r"^(?:<+)?(?:&|mut |\[|\(|dyn |impl )*([A-Za-z_][A-Za-z0-9_]*)(?:\[[0-9a-f]+\])?::", name)
    return found.group(1) if found else "exports and others"


def gzipped(data):
    return len(gzip.compress(data, 9))


def main(name, named_file, shipped_file):
    with open(named_file, "rb") as file:
        named = file.read()
    with open(shipped_file, "rb") as file:
        shipped = file.read()
    print(f"\n{name}: {len(shipped):,} bytes, {gzipped(shipped):,} gzipped\n")
    print("| part | bytes | gzipped |\n| --- | --- | --- |")
    functions, code, names = 0, [], {}
    for kind, data in sections(named):
        if kind == 2:
            functions = imported_functions(data)
        elif kind == 10:
            code = list(bodies(data))
        elif kind == 0 and text(data, 0)[0] == "name":
            names = function_names(data)
    labels = {10: "code", 11: "data: texts, tables, the status page"}
    rest = [data for kind, data in sections(shipped) if kind not in labels]
    for kind, data in sections(shipped):
        if kind in labels:
            print(f"| {labels[kind]} | {len(data):,} | {gzipped(data):,} |")
    print(f"| all else | {sum(map(len, rest)):,} | {gzipped(b''.join(rest)):,} |")

    parts = collections.defaultdict(list)
    for index, body in enumerate(code, functions):
        parts[crate(names.get(index, ""))].append(body)
    rows = sorted(((sum(map(len, part)), label, part) for label, part in parts.items()), reverse=True)
    print("\n| code of | functions | bytes | share | gzipped |\n| --- | --- | --- | --- | --- |")
    total = sum(size for size, _, _ in rows)
    shown, left = rows[:SHOWN], rows[SHOWN:]
    left = [body for _, _, part in left for body in part]
    shown.append((sum(map(len, left)), f"{len(rows) - len(shown)} more", left))
    for size, label, part in shown:
        print(f"| {label} | {len(part)} | {size:,} | {100 * size / total:.1f} % | {gzipped(b''.join(part)):,} |")


main(*sys.argv[1:])
