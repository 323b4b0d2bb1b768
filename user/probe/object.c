// SPDX-License-Identifier: GPL-3.0-or-later
#include "probe/object.h"

#include <assert.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a variable lies in its section, by the object's types. Returns SIZE_MAX when it is not there in this size. */
static size_t offset_of(const struct bpf_object *bpf, const char *section, const char *name, size_t size)
{
    const struct btf *btf = bpf_object__btf(bpf);
    int id = btf ? btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC) : -1;
    if (id < 0)
        return SIZE_MAX;
    const struct btf_type *type = btf__type_by_id(btf, (__u32)id);
    const struct btf_var_secinfo *var = btf_var_secinfos(type);
    for (unsigned i = 0; i < btf_vlen(type); i++) {
        const char *found = btf__name_by_offset(btf, btf__type_by_id(btf, var[i].type)->name_off);
        if (strcmp(found, name) == 0)
            return var[i].size == size ? var[i].offset : SIZE_MAX;
    }
    return SIZE_MAX;
}

int sj_object_open(struct sj_object *o, const void *elf, size_t len, struct sj_err *err)
{
    *o = (struct sj_object){.bpf = bpf_object__open_mem(elf, len, NULL)};
    if (!o->bpf)
        return sj_fail(err, EX_SOFTWARE, "cannot open the BPF object: %s", strerror(errno));
    return 0;
}

void sj_object_close(struct sj_object *o)
{
    if (o->variables)
        munmap(o->variables, o->variables_len);
    bpf_object__close(o->bpf);
    *o = (struct sj_object){0};
}

void sj_object_set(struct sj_object *o, const char *name, const void *value, size_t size)
{
    size_t room, at = offset_of(o->bpf, ".rodata", name, size);
    struct bpf_map *map = bpf_object__find_map_by_name(o->bpf, ".rodata");
    /* const to all others: what it is before the load is what is loaded */
    char *settings = map ? (char *)(uintptr_t)bpf_map__initial_value(map, &room) : NULL;
    assert(settings && at <= room && size <= room - at);
    memcpy(settings + at, value, size);
}

int sj_object_load(struct sj_object *o)
{
    if (bpf_object__load(o->bpf))
        return -1;
    struct bpf_map *map = bpf_object__find_map_by_name(o->bpf, ".bss");
    if (!map) {
        errno = ENOENT;
        return -1;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    o->variables_len = (bpf_map__value_size(map) + page - 1) / page * page;
    void *mapped = mmap(NULL, o->variables_len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
    if (mapped == MAP_FAILED)
        return -1;
    o->variables = mapped;
    return 0;
}

struct bpf_program *sj_object_program(const struct sj_object *o, const char *name)
{
    return bpf_object__find_program_by_name(o->bpf, name);
}

int sj_object_map_fd(const struct sj_object *o, const char *name)
{
    return bpf_object__find_map_fd_by_name(o->bpf, name);
}

void *sj_object_variable(const struct sj_object *o, const char *name, size_t size)
{
    size_t at = offset_of(o->bpf, ".bss", name, size);
    assert(o->variables && at <= o->variables_len && size <= o->variables_len - at);
    return (char *)o->variables + at;
}
