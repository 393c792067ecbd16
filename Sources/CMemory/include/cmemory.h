// The allocator of the process, jemalloc, with its settings, and what the process may give back to the kernel.
#ifndef CMEMORY_H
#define CMEMORY_H

// Gives back the pages of code and constants that the process has touched so far: most were needed by its start alone. What is
// needed again is mapped again from the page cache. Of writable memory it touches nothing.
void cmemory_release_code(void);

#endif
