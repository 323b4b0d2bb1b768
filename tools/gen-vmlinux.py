#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the kernel types that the BPF programs need, and no more:  gen-vmlinux.py [--btf FILE] LIST HEADER

A full vmlinux.h has 130,000 lines. CO-RE finds a member by its name, whatever stands around it, so a structure may be
cut down to the members that are read. LIST names them; BTF, the running kernel's unless --btf names raw BTF or an ELF
file with a .BTF section, supplies their types. The format of LIST is described at its top.

What a listed structure holds by value and is not listed itself is written out whole; what it points to is only
declared. The result depends on LIST and the BTF alone.
"""

import argparse
import struct
import sys

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
BTF_MAGIC = 0xEB9F
# Bytes that follow the 12-byte head of a type: fixed, and per element.
TAIL = {INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8), FUNC_PROTO: (0, 8), VAR: (4, 0),
        DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12)}
KEYWORD = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum"}

PROLOGUE = """\
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made by `make vmlinux` from vmlinux/types.list and the kernel's BTF: edit the list, not this file.
 * Structures hold only the members that the list names; CO-RE finds them in the running kernel by name.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#if defined(__TARGET_ARCH_x86)
#include "x86/regs.h"
#elif defined(__TARGET_ARCH_arm64)
#include "arm64/regs.h"
#else
#error "no register layout for this architecture: add it beside x86/regs.h"
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
"""
EPILOGUE = """
#pragma clang attribute pop

#endif
"""


class Trouble(Exception):
    """What is wrong with the input, in one line."""


def elf_section(data, wanted):
    """The content of a section of a 64-bit little-endian ELF file, or None."""
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    for name, _, _, _, offset, length in headers:
        start = headers[names][4] + name
        if data[start:data.find(b"\0", start)] == wanted:
            return data[offset:offset + length]
    return None


class Btf:
    """Types by number: (kind, name, size or type, flag, elements, where the tail starts)."""

    def __init__(self, data):
        if data[:4] == b"\x7fELF":
            data = elf_section(data, b".BTF")
        if not data or struct.unpack_from("<H", data)[0] != BTF_MAGIC:
            raise Trouble("no BTF in this file")
        head, type_off, type_len, str_off, _ = struct.unpack_from("<IIIII", data, 4)
        self.data, self.strings = data, head + str_off
        self.types = [(0, "void", 0, 0, 0, 0)]
        self.by_name = {}
        at, end = head + type_off, head + type_off + type_len
        while at < end:
            name, info, size = struct.unpack_from("<III", data, at)
            kind, count, at = info >> 24 & 31, info & 0xFFFF, at + 12
            text = self.string(name)
            if text:
                self.by_name.setdefault((KEYWORD.get(kind, kind), text), []).append(len(self.types))
            self.types.append((kind, text, size, info >> 31, count, at))
            fixed, each = TAIL.get(kind, (0, 0))
            at += fixed + each * count

    def string(self, offset):
        start = self.strings + offset
        return self.data[start:self.data.find(b"\0", start)].decode()

    def members(self, number):
        """(name, type, width in bits or 0) of each member, in order."""
        _, _, _, flag, count, at = self.types[number]
        for i in range(count):
            name, member, offset = struct.unpack_from("<III", self.data, at + 12 * i)
            yield self.string(name), member, offset >> 24 if flag else 0

    def find_member(self, number, wanted):
        """A member by name, also inside anonymous members; None when there is none."""
        for name, member, bits in self.members(number):
            if name == wanted:
                return name, member, bits
            if not name and (found := self.find_member(self.strip(member), wanted)):
                return found
        return None

    def enumerators(self, number):
        kind, _, _, signed, count, at = self.types[number]
        for i in range(count):
            if kind == ENUM64:
                name, low, high = struct.unpack_from("<III", self.data, at + 12 * i)
                value = high << 32 | low
                yield self.string(name), value - (1 << 64) if signed and high >> 31 else value
            else:
                name, value = struct.unpack_from("<Ii" if signed else "<II", self.data, at + 8 * i)
                yield self.string(name), value

    def array(self, number):
        element, _, count = struct.unpack_from("<III", self.data, self.types[number][5])
        return element, count

    def strip(self, number):
        """The type behind qualifiers and tags."""
        while self.types[number][0] in (VOLATILE, CONST, RESTRICT, TYPE_TAG):
            number = self.types[number][2]
        return number


class Request:
    """One entry of the list: a type and the members wanted of it (None: all of them)."""

    def __init__(self, keyword, name, where):
        self.keyword, self.name, self.where = keyword, name, where
        self.members, self.verbatim = [], []

    def whole(self):
        return self.members == ["*"]


def read_list(path):
    requests = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            text = line.split("#")[0].rstrip()
            where = f"{path}:{number}"
            if not text:
                continue
            if not text[0].isspace():
                words = text.split()
                if len(words) > 2 or words[0] not in ("struct", "union", "enum", "typedefs", "constants"):
                    raise Trouble(f"{where}: expected struct, union or enum and a name, or typedefs, or constants")
                requests.append(Request(words[0], words[1] if len(words) == 2 else "", where))
            elif not requests:
                raise Trouble(f"{where}: members before any type")
            elif text.lstrip().startswith("+"):
                requests[-1].verbatim.append(text.lstrip()[1:].strip())
            else:
                requests[-1].members += text.split()
    return requests


class Writer:
    def __init__(self, btf, requests):
        self.btf = btf
        self.out, self.declared, self.done = [], set(), set()
        self.requests = requests
        self.wanted = {(r.keyword, r.name): r for r in requests if r.keyword in ("struct", "union", "enum")}

    def named(self, keyword, name, members, where):
        """The first type of that name that has all the members: BTF may hold several."""
        numbers = self.btf.by_name.get((keyword, name), [])
        if not numbers:
            raise Trouble(f"{where}: this kernel has no {keyword} {name}")
        for number in numbers:
            if keyword == "enum":
                missing = set(members) - {n for n, _ in self.btf.enumerators(number)}
            else:
                missing = {m for m in members if not self.btf.find_member(number, m)}
            if not missing or members == ["*"]:
                return number
        raise Trouble(f"{where}: {keyword} {name} has no {' '.join(sorted(missing))}")

    # -- how a type is spelled: a declaration of `name` with the type `number` ----------------------------------------

    def declare(self, number, name, pointed=False):
        """C for a variable; makes sure that what it needs comes first. pointed: only a pointer leads here."""
        kind, text, target, _, _, _ = self.btf.types[number]
        if kind == PTR:
            if self.btf.types[self.btf.strip(target)][0] == FUNC_PROTO:
                return f"void *{name}"
            return self.declare(target, "*" + name, True)
        if kind == ARRAY:
            element, count = self.btf.array(number)
            return self.declare(element, f"({name})[{count}]" if name.startswith("*") else f"{name}[{count}]", pointed)
        if kind in (VOLATILE, CONST, RESTRICT):
            word = {VOLATILE: "volatile", CONST: "const", RESTRICT: "restrict"}[kind]
            if self.btf.types[self.btf.strip(target)][0] == PTR:
                return self.declare(target, f"{word} {name}", pointed)
            return f"{word} {self.declare(target, name, pointed)}"
        if kind == TYPE_TAG:
            return self.declare(target, name, pointed)
        if kind == FWD:
            self.forward("union" if self.btf.types[number][3] else "struct", text)
            return self.spaced("union" if self.btf.types[number][3] else "struct", text, name)
        if kind in (STRUCT, UNION):
            return self.declare_record(number, name, pointed)
        if kind in (ENUM, ENUM64):
            if not text:
                return self.spaced(self.enum_body(number, None), name)
            self.enum(number)
            return self.spaced("enum", text, name)
        if kind == TYPEDEF:
            self.typedef(number)
        return self.spaced(text or "void", name)

    def declare_record(self, number, name, pointed):
        kind, text = self.btf.types[number][:2]
        if not text:
            return self.spaced(self.record_body(number, None), name)
        if pointed:
            self.forward(KEYWORD[kind], text)
        else:
            self.record(number)
        return self.spaced(KEYWORD[kind], text, name)

    @staticmethod
    def spaced(*words):
        return " ".join(w for w in words if w)

    # -- definitions, each written once and after what it needs -------------------------------------------------------

    def forward(self, keyword, name):
        if (keyword, name) not in self.done:
            self.declared.add(f"{keyword} {name};")

    def typedef(self, number):
        _, name, target, _, _, _ = self.btf.types[number]
        if ("typedef", name) not in self.done:
            self.done.add(("typedef", name))
            text = f"typedef {self.declare(target, name)};\n"
            if "\n" not in text[:-1] and self.out and self.out[-1].startswith("typedef"):
                self.out[-1] += text
            else:
                self.out.append(text)

    def enum(self, number):
        name = self.btf.types[number][1]
        if ("enum", name) not in self.done:
            self.done.add(("enum", name))
            self.out.append(f"{self.enum_body(number, self.wanted.get(('enum', name)))};\n")

    def enum_body(self, number, request):
        rows = list(self.btf.enumerators(number))
        if request and not request.whole():
            rows = [r for r in rows if r[0] in request.members]
        head = self.spaced("enum", self.btf.types[number][1])
        return head + " {\n" + "".join(map(self.enumerator, rows)) + "}"

    @staticmethod
    def enumerator(row):
        name, value = row
        return f"    {name} = {value}{'ULL' if value > 0x7FFFFFFF else ''},\n"

    def record(self, number):
        kind, name, size, _, _, _ = self.btf.types[number]
        keyword = KEYWORD[kind]
        if (keyword, name) in self.done:
            return
        self.done.add((keyword, name))
        request = self.wanted.get((keyword, name))
        text = f"{self.record_body(number, request)};\n"
        if request and request.whole() and not request.verbatim and self.complete(number):
            text += f'_Static_assert(sizeof({keyword} {name}) == {size}, "{name}");\n'
        self.out.append(text)

    def record_body(self, number, request):
        """The definition without its semicolon; request None: all members."""
        kind, text, _, _, _, _ = self.btf.types[number]
        if request and not request.whole():
            members = [self.btf.find_member(number, m) for m in request.members]
            if None in members:
                missing = request.members[members.index(None)]
                raise Trouble(f"{request.where}: {request.keyword} {text} has no {missing}")
        else:
            members = list(self.btf.members(number))
        rows = [self.declare(member, name) + (f" : {bits}" if bits else "") for name, member, bits in members]
        rows += [v.rstrip(";") for v in request.verbatim] if request else []
        body = "".join("    " + (row + ";\n").replace("\n", "\n    ").rstrip(" ") for row in rows)
        return self.spaced(KEYWORD[kind], text) + " {\n" + body + "}"

    def complete(self, number):
        """Whether a type is written out whole, and its size therefore right."""
        number = self.btf.strip(number)
        kind, name, target, _, _, _ = self.btf.types[number]
        if kind == TYPEDEF:
            return self.complete(target)
        if kind == ARRAY:
            return self.complete(self.btf.array(number)[0])
        if kind not in (STRUCT, UNION):
            return True
        request = self.wanted.get((KEYWORD[kind], name))
        if request and not request.whole():
            return False
        return all(self.complete(member) for _, member, _ in self.btf.members(number))

    # -- the whole header ---------------------------------------------------------------------------------------------

    def constants(self, request):
        values = {}
        for number, (kind, name, *_) in enumerate(self.btf.types):
            if kind in (ENUM, ENUM64) and not name:
                for constant, value in self.btf.enumerators(number):
                    values.setdefault(constant, value)
        if missing := [m for m in request.members if m not in values]:
            raise Trouble(f"{request.where}: this kernel has no constant {' '.join(missing)}")
        self.out.append("enum {\n" + "".join(self.enumerator((m, values[m])) for m in request.members) + "};\n")

    def write(self):
        for request in self.requests:
            if request.keyword == "typedefs":
                for name in request.members:
                    numbers = self.btf.by_name.get((TYPEDEF, name))
                    if not numbers:
                        raise Trouble(f"{request.where}: this kernel has no typedef {name}")
                    self.typedef(numbers[0])
            elif request.keyword == "constants":
                self.constants(request)
            else:
                number = self.named(request.keyword, request.name, request.members, request.where)
                self.enum(number) if request.keyword == "enum" else self.record(number)
        forwards = "\n".join(sorted(self.declared))
        return PROLOGUE + "\n" + forwards + "\n\n" + "\n".join(self.out) + EPILOGUE


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--btf", default="/sys/kernel/btf/vmlinux", help="raw BTF, or an ELF file with a .BTF section")
    parser.add_argument("list")
    parser.add_argument("header")
    args = parser.parse_args()
    try:
        with open(args.btf, "rb") as source:
            btf = Btf(source.read())
        text = Writer(btf, read_list(args.list)).write()
        with open(args.header, "w", encoding="utf-8") as header:
            header.write(text)
    except (OSError, Trouble, struct.error) as trouble:
        sys.exit(f"gen-vmlinux: {trouble}")


main()
