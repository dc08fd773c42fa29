"""Builds the extension: cffi in API mode, so that every call and struct is checked against libbpf's own headers.

Run by setup.py only; nothing here is imported at run time.
"""

from __future__ import annotations

import os

from cffi import FFI

_FOLDER = os.path.dirname(os.path.abspath(__file__))

# The part of libbpf that skep calls. "..." lets the compiler fill in what the header says.
_LIBBPF = """
struct btf;
struct bpf_object;
struct bpf_program;
struct bpf_map;
struct bpf_link;

enum bpf_prog_type { BPF_PROG_TYPE_UNSPEC, ... };
enum bpf_map_type { BPF_MAP_TYPE_UNSPEC, ... };
enum bpf_attach_type { BPF_CGROUP_INET_INGRESS, ... };

struct bpf_object_open_opts { size_t sz; const char *object_name; const char *pin_root_path;
                              const char *btf_custom_path;
                              char *kernel_log_buf; size_t kernel_log_size; ...; };

struct bpf_object *bpf_object__open_mem(const void *bytes, size_t size, const struct bpf_object_open_opts *opts);
int bpf_object__load(struct bpf_object *object);
void bpf_object__close(struct bpf_object *object);
struct bpf_map *bpf_object__next_map(const struct bpf_object *object, const struct bpf_map *map);
struct bpf_program *bpf_object__next_program(const struct bpf_object *object, struct bpf_program *program);

const char *bpf_map__name(const struct bpf_map *map);
int bpf_map__fd(const struct bpf_map *map);
uint32_t bpf_map__max_entries(const struct bpf_map *map);
int bpf_map__set_max_entries(struct bpf_map *map, uint32_t count);
uint32_t bpf_map__value_size(const struct bpf_map *map);
uint32_t bpf_map__key_size(const struct bpf_map *map);
const char *bpf_map__pin_path(const struct bpf_map *map);
int bpf_map__set_pin_path(struct bpf_map *map, const char *path);
uint32_t bpf_map__map_flags(const struct bpf_map *map);
struct bpf_link *bpf_map__attach_struct_ops(const struct bpf_map *map);
int bpf_map__set_map_flags(struct bpf_map *map, uint32_t flags);
int bpf_map__set_key_size(struct bpf_map *map, uint32_t size);
int bpf_map__set_value_size(struct bpf_map *map, uint32_t size);
int bpf_map__reuse_fd(struct bpf_map *map, int fd);
void *bpf_map__initial_value(struct bpf_map *map, size_t *size);

const char *bpf_program__name(const struct bpf_program *program);
int bpf_program__fd(const struct bpf_program *program);
int bpf_program__set_autoload(struct bpf_program *program, bool autoload);
int bpf_program__set_log_level(struct bpf_program *program, uint32_t level);
struct bpf_link *bpf_program__attach(const struct bpf_program *program);
int bpf_program__set_attach_target(struct bpf_program *program, int fd, const char *name);
int bpf_program__set_expected_attach_type(struct bpf_program *program, enum bpf_attach_type type);
uint32_t bpf_program__flags(const struct bpf_program *program);
int bpf_program__set_flags(struct bpf_program *program, uint32_t flags);

struct bpf_kprobe_opts { size_t sz; size_t offset; bool retprobe; ...; };
struct bpf_ksyscall_opts { size_t sz; bool retprobe; ...; };
struct bpf_kprobe_multi_opts { size_t sz; bool retprobe; ...; };
struct bpf_uprobe_opts { size_t sz; size_t ref_ctr_offset; bool retprobe; const char *func_name; ...; };
struct bpf_usdt_opts { size_t sz; ...; };
struct bpf_iter_attach_opts { size_t sz; union bpf_iter_link_info *link_info; uint32_t link_info_len; ...; };

struct bpf_link *bpf_program__attach_kprobe_opts(const struct bpf_program *program, const char *function,
                                                 const struct bpf_kprobe_opts *opts);
struct bpf_link *bpf_program__attach_ksyscall(const struct bpf_program *program, const char *name,
                                              const struct bpf_ksyscall_opts *opts);
struct bpf_link *bpf_program__attach_kprobe_multi_opts(const struct bpf_program *program, const char *pattern,
                                                       const struct bpf_kprobe_multi_opts *opts);
struct bpf_link *bpf_program__attach_uprobe_opts(const struct bpf_program *program, int pid, const char *path,
                                                 size_t offset, const struct bpf_uprobe_opts *opts);
struct bpf_link *bpf_program__attach_usdt(const struct bpf_program *program, int pid, const char *path,
                                          const char *provider, const char *name, const struct bpf_usdt_opts *opts);
struct bpf_link *bpf_program__attach_tracepoint(const struct bpf_program *program, const char *category,
                                                const char *name);
struct bpf_link *bpf_program__attach_raw_tracepoint(const struct bpf_program *program, const char *name);
struct bpf_link *bpf_program__attach_perf_event(const struct bpf_program *program, int fd);
struct bpf_link *bpf_program__attach_cgroup(const struct bpf_program *program, int cgroup);
struct bpf_link *bpf_program__attach_iter(const struct bpf_program *program, const struct bpf_iter_attach_opts *opts);
int bpf_iter_create(int link);
int bpf_link__fd(const struct bpf_link *link);
int bpf_link__destroy(struct bpf_link *link);
void bpf_link__disconnect(struct bpf_link *link);
int bpf_link_detach(int fd);
int bpf_link_update(int link, int program, const void *opts);

int bpf_xdp_query_id(int interface, int flags, uint32_t *id);
int bpf_prog_query(int target, enum bpf_attach_type type, uint32_t query_flags, uint32_t *attach_flags, uint32_t *ids,
                   uint32_t *count);

struct bpf_test_run_opts { size_t sz; const void *data_in; void *data_out; uint32_t data_size_in;
                           uint32_t data_size_out; const void *ctx_in; void *ctx_out; uint32_t ctx_size_in;
                           uint32_t ctx_size_out; uint32_t retval; int repeat; uint32_t duration; ...; };
int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts);

struct libbpf_prog_handler_opts { size_t sz; ...; };
int libbpf_register_prog_handler(const char *section, enum bpf_prog_type type, enum bpf_attach_type attach_type,
                                 const struct libbpf_prog_handler_opts *opts);

#define SYS_bpf ...
#define SYS_capset ...
#define SYS_perf_event_open ...
#define SYS_prctl ...
#define SYS_setns ...
long syscall(long number, ...);

int libbpf_num_possible_cpus(void);
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags);
int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_freeze(int fd);
int bpf_map_get_next_key(int fd, const void *key, void *next);
int bpf_map_get_fd_by_id(uint32_t id);
int bpf_map_get_next_id(uint32_t start, uint32_t *next);
int bpf_btf_get_fd_by_id(uint32_t id);
int bpf_obj_pin(int fd, const char *path);
int bpf_obj_get(const char *path);
int bpf_task_fd_query(int pid, int fd, uint32_t flags, char *buffer, uint32_t *length, uint32_t *program,
                      uint32_t *type, uint64_t *offset, uint64_t *address);

struct bpf_map_create_opts { size_t sz; uint32_t map_flags; ...; };
int bpf_map_create(enum bpf_map_type type, const char *name, uint32_t key_size, uint32_t value_size,
                   uint32_t max_entries, const struct bpf_map_create_opts *opts);
struct bpf_map_info { uint32_t type; uint32_t id; uint32_t key_size; uint32_t value_size; uint32_t max_entries;
                      uint32_t map_flags; char name[16]; uint32_t btf_id; uint32_t btf_key_type_id;
                      uint32_t btf_value_type_id; uint32_t btf_vmlinux_value_type_id; ...; };
struct bpf_btf_info { uint64_t btf; uint32_t btf_size; ...; };

struct bpf_insn;
struct bpf_prog_load_opts { size_t sz; int expected_attach_type; uint32_t attach_btf_id; uint32_t prog_flags;
                            uint32_t log_level; uint32_t log_size; char *log_buf; ...; };
int bpf_prog_load(int type, const char *name, const char *license, const struct bpf_insn *insns, size_t count,
                  const struct bpf_prog_load_opts *opts);
int libbpf_find_vmlinux_btf_id(const char *name, int attach_type);
int libbpf_prog_type_by_name(const char *section, enum bpf_prog_type *type, enum bpf_attach_type *attach_type);

struct bpf_prog_info { uint32_t id; char name[16]; uint64_t run_time_ns; uint64_t run_cnt; ...; };
int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size);
int bpf_enable_stats(int type);
int bpf_prog_get_next_id(uint32_t start, uint32_t *next);
int bpf_prog_get_fd_by_id(uint32_t id);
int bpf_link_get_fd_by_id(uint32_t id);
int bpf_link_get_next_id(uint32_t start, uint32_t *next);

struct btf *btf__load_vmlinux_btf(void);
struct btf *btf__parse(const char *path, void *extension);
int32_t btf__find_by_name_kind(const struct btf *btf, const char *name, uint32_t kind);
void btf__free(struct btf *btf);
const char *libbpf_version_string(void);

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
"""

ffi = FFI()
with open(os.path.join(_FOLDER, "native.h"), encoding="ascii") as header:
    ffi.cdef(_LIBBPF + header.read())
ffi.set_source(
    "skep._native._libbpf",
    """
    #include <bpf/bpf.h>
    #include <bpf/btf.h>
    #include <bpf/libbpf.h>
    #include <linux/bpf.h>
    #include <sys/mount.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #include "native.h"
    """,
    # Relative to the folder of setup.py, as setuptools wants them.
    sources=[
        f"src/skep/_native/{name}.c"
        for name in ("messages", "object", "probe", "memory", "drain", "ring", "perf", "records", "bulk")
    ],
    include_dirs=[_FOLDER],
    libraries=["bpf"],
    define_macros=[("_GNU_SOURCE", None)],
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
)
