#define _GNU_SOURCE
#include "cmemory.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// jemalloc reads this when it starts. What a burst has taken is given back within a second, by a thread of its own; glibc's
// allocator keeps it for good. MALLOC_CONF in the environment goes over it.
__attribute__((visibility("default"))) const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";

// Code that the loader has written into would come back without that.
static int has_text_relocations(const struct dl_phdr_info *module)
{
    for (int place = 0; place < module->dlpi_phnum; place++) {
        if (module->dlpi_phdr[place].p_type != PT_DYNAMIC) continue;
        const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(module->dlpi_addr + module->dlpi_phdr[place].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) return 1;
        }
    }
    return 0;
}

static int release(struct dl_phdr_info *module, size_t size, void *context)
{
    (void)size;
    (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (has_text_relocations(module)) return 0;
    for (int place = 0; place < module->dlpi_phnum; place++) {
        const ElfW(Phdr) *segment = &module->dlpi_phdr[place];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) continue;
        const uintptr_t start = (module->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        const uintptr_t end = (module->dlpi_addr + segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);
        // A private mapping of a file that nobody has written to: the same bytes come back. Where it is refused, nothing is lost.
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void cmemory_release_code(void) { (void)dl_iterate_phdr(release, NULL); }
