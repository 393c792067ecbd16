// The allocator of the process: jemalloc with the settings in cmemory.c. There is nothing to call.
#ifndef CMEMORY_H
#define CMEMORY_H
#endif
