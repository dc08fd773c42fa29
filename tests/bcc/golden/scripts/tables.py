"""Tables: what their keys and values are, in which order, and what methods give."""

import ctypes as ct
import os

from bcc import BPF

TEXT = """
struct key { u32 a; char b; u64 c; };
struct value { u64 count; char name[16]; u8 bytes[4]; u32 numbers[3]; s16 small; };
enum color { RED, GREEN = 5, BLUE };
struct wide { u64 high, low; enum color color; bool yes; void *where; long l; unsigned short us; };
union either { u32 whole; struct { u16 low, high; } half; u8 bytes[4]; };
struct bits { u32 a:3, b:5, c:24; u64 d:40; int e:4; u8 tail; };
struct packed { u8 a; u64 b; u16 c; } __attribute__((packed));
struct nested { struct { u32 x, y; } point; union { u64 raw; u8 parts[8]; }; struct packed inside; };
BPF_HASH(plain);
BPF_HASH(small, u8, u16);
BPF_HASH(signed_, int, s64);
BPF_HASH(keyed, struct key, struct value);
BPF_HASH(wides, u32, struct wide);
BPF_HASH(eithers, union either, union either);
BPF_HASH(bit, u32, struct bits);
BPF_HASH(packs, struct packed, u32);
BPF_HASH(nests, u32, struct nested);
BPF_HASH(colors, enum color, u64, 16);
BPF_HASH(large, u32, unsigned __int128);
BPF_HASH(inlined, struct { u32 x; u32 y; }, u8);
struct name { char text[16]; };
BPF_HASH(names, struct name, u64);
BPF_ARRAY(array, u32, 5);
BPF_ARRAY(structs, struct packed, 2);
BPF_PERCPU_ARRAY(percpu, u64, 3);
BPF_PERCPU_HASH(percpu_hash, u64, u32);
BPF_TABLE("lru_hash", u32, u64, lru, 16);
BPF_TABLE("percpu_array", int, struct key, percpu_structs, 1);
BPF_QUEUE(queue, struct key, 4);
BPF_STACK(stack, u64, 4);
BPF_PROG_ARRAY(programs, 3);
int go(struct pt_regs *ctx) { return 0; }
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID) return 0;
    struct key key = {};
    key.a = 1; key.b = 'x'; key.c = 3;
    struct value value = {};
    value.count = 7; value.small = -5;
    __builtin_memcpy(value.name, "name", 5);
    value.bytes[0] = 1; value.bytes[3] = 4; value.numbers[0] = 10; value.numbers[2] = 30;
    keyed.update(&key, &value);
    keyed.insert(&key, &value);
    u32 one = 1;
    struct wide wide = {};
    wide.high = 1; wide.low = 2; wide.color = BLUE; wide.yes = true; wide.where = (void *)0x1234;
    wide.l = -7; wide.us = 65535;
    wides.update(&one, &wide);
    union either either = {};
    either.whole = 0x00020001;
    eithers.update(&either, &either);
    struct bits bits = {};
    bits.a = 5; bits.b = 17; bits.c = 0xabcdef; bits.d = 0x123456789a; bits.e = -3; bits.tail = 9;
    bit.update(&one, &bits);
    struct packed packed = {};
    packed.a = 1; packed.b = 0x0102030405060708; packed.c = 3;
    u32 seven = 7;
    packs.update(&packed, &seven);
    struct nested nested = {};
    nested.point.x = 3; nested.point.y = 4; nested.raw = 0x0807060504030201;
    nested.inside.a = 9; nested.inside.b = 8; nested.inside.c = 7;
    nests.update(&one, &nested);
    enum color color = GREEN;
    u64 count = 11, *found;
    colors.update(&color, &count);
    unsigned __int128 big = 6;
    big |= (unsigned __int128)one << 66;
    large.update(&one, &big);
    u8 eight = 8;
    u16 sixteen = 1600;
    small.update(&eight, &sixteen);
    int minus = -3;
    s64 less = -300;
    signed_.update(&minus, &less);
    u64 zero64 = 0;
    found = plain.lookup_or_init(&count, &zero64);
    *found += 5;
    found = plain.lookup_or_try_init(&count, &zero64);
    if (found) *found += 5;
    plain.increment(zero64);
    plain.increment(zero64, 41);
    plain.atomic_increment(count, 2);
    lru.increment(one);
    int index = 2;
    u32 *slot = array.lookup(&index);
    if (slot) *slot += 12;
    array.increment(3);
    array.increment(4, 9);
    structs.update(&index, &packed);
    index = 1;
    structs.update(&index, &packed);
    struct name name = {};
    __builtin_memcpy(name.text, "a name", 7);
    names.update(&name, &count);
    names.delete(&name);
    struct name other = {};
    __builtin_memcpy(other.text, "another", 8);
    names.update(&other, &count);
    queue.push(&key, 0);
    stack.push(&count, 0);
    stack.push(&zero64, 0);
    return 0;
}
"""


def plain(value):
    """A value of ctypes, in words."""
    if isinstance(value, (ct.Structure, ct.Union)):
        names = [field[0] for field in value._fields_ if not field[0].startswith("__")]
        return "{" + ", ".join(f"{name}={plain(getattr(value, name))}" for name in names) + "}"
    if isinstance(value, ct.Array) and not isinstance(value, bytes):
        return "[" + ", ".join(str(plain(each)) for each in value) + "]"
    return getattr(value, "value", value)


b = BPF(text=TEXT.replace("PID", str(os.getpid())))
os.getppid()
for name in ("keyed", "packs", "small", "signed_", "colors", "names", "plain", "lru"):
    table = b[name]
    print(name, type(table).__name__, ct.sizeof(table.Key), ct.sizeof(table.Leaf), len(table), table.max_entries)
    for key, leaf in sorted(table.items(), key=lambda pair: str(plain(pair[0]))):
        print("   ", plain(key), plain(leaf))
for name in ("array", "structs"):
    print(name, type(b[name]).__name__, [plain(leaf) for leaf in b[name].values()], [k.value for k in b[name].keys()])

wide = b["wides"][ct.c_uint(1)]
print(wide.high, wide.low, wide.color, wide.yes, wide.where, wide.l, wide.us)
either = b["eithers"].items()[0]
print(either[0].whole, either[0].half.low, either[0].half.high, list(either[1].bytes))
bits = b["bit"][ct.c_uint(1)]
print(bits.a, bits.b, bits.c, bits.d, bits.e)
nested = b["nests"][ct.c_uint(1)]
print(nested.point.x, nested.point.y, nested.raw, list(nested.parts), nested.inside.b, ct.sizeof(nested))
print(list(b["large"][ct.c_uint(1)]))
print(repr(b["small"][ct.c_ubyte(8)]), repr(b["signed_"][ct.c_int(-3)]), repr(b["array"][2]), repr(b["plain"].Key(3)))
value = b["keyed"].values()[0]
print(value.name, list(value.bytes), list(value.numbers), value.small, value.count)
key = b["keyed"].items()[0][0]
print(key.a, key.b, key.c)
print(b["names"].items()[0][0].text)

percpu = b["percpu"]
percpu[1] = percpu.Leaf(*range(1, percpu.total_cpu + 1))
print(percpu.sum(1).value == sum(range(1, percpu.total_cpu + 1)), percpu.max(1).value == percpu.total_cpu)
print(type(percpu.sum(1)).__name__, type(percpu[1]).__name__.rpartition("_")[0], len(percpu[1]) == percpu.total_cpu)
print(list(percpu.getvalue(0)) == [0] * percpu.total_cpu, percpu.average(0))
hashed = b["percpu_hash"]
hashed[ct.c_ulong(9)] = hashed.Leaf(*[4] * hashed.total_cpu)
print(hashed.sum(ct.c_ulong(9)).value == 4 * hashed.total_cpu, type(hashed.sum(ct.c_ulong(9))).__name__)
print([(key.value, len(value) == hashed.total_cpu) for key, value in hashed.items()])
print(
    b.get_table(
        "percpu", reducer=lambda one, other: ct.c_ulong(getattr(one, "value", one) + getattr(other, "value", other))
    )[0]
)

table = b["plain"]
for number in range(20, 25):
    table[ct.c_ulong(number)] = ct.c_ulong(number * 2)
table[table.Key(30)] = table.Leaf(1)
print(sorted(key.value for key in table), ct.c_ulong(24) in table, ct.c_ulong(99) in table)
try:
    print(table[ct.c_ulong(99)])
except KeyError as error:
    print("KeyError", isinstance(error, KeyError))
try:
    del table[ct.c_ulong(99)]
except KeyError:
    print("KeyError")
print(table.get(ct.c_ulong(99), "nothing"), table.get(ct.c_ulong(24), "nothing"))
print(table.pop(ct.c_ulong(24)).value, len(table))
print(sorted((key.value, leaf.value) for key, leaf in table.iteritems()))
print(sorted(leaf.value for leaf in table.itervalues()))
table.zero()
print(sorted((key.value, leaf.value) for key, leaf in table.items()))
print(sorted(table.items_lookup_batch()), sorted(table.items_lookup_and_delete_batch()), len(table))
table.clear()
array = b["array"]
try:
    array[5]
except IndexError:
    print("IndexError")
print(
    array[-1].value, [leaf.value for leaf in array.itervalues()], len(array), sorted(k.value for k, _ in array.items())
)
array[0] = ct.c_uint(99)
del array[2]
print([leaf.value for leaf in array.values()])
array.clear()
print([leaf.value for leaf in array.values()])
print(
    [plain(leaf) for leaf in b["queue"].values()], b["stack"].peek().value, [leaf.value for leaf in b["stack"].values()]
)
b["stack"].push(ct.c_ulong(6))
print(b["stack"].pop().value)
try:
    b["stack"].pop()
except KeyError:
    print("KeyError")
print(len(b["programs"]), type(b["programs"]).__name__, array.ttype, table.flags)
print(sorted(name for name in ("array", "plain", "nothing") if name in b))
