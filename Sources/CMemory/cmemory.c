#include "cmemory.h"

// jemalloc reads this when it starts. What a burst has taken is given back within a second, by a thread of its own; glibc's
// allocator keeps it for good. MALLOC_CONF in the environment goes over it.
__attribute__((visibility("default"))) const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
